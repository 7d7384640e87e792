#include "bitstill/scale/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/link.hpp"

namespace bitstill {
namespace {

constexpr int64_t kLeafNodes = 16;                               // fat trees
constexpr int64_t kRouterNodes = 4, kChassis = 4, kRouters = 4;  // dragonfly

constexpr double kMemoryBytesPerSecond = 1e11;

// An exact network of latency and rate: no factors measured on somebody's cluster.
const char* const kSettings[] = {
    "smpi/host-speed:1Gf",
    "smpi/simulate-computation:no",  // the walk says what computes, and how long
    "smpi/privatization:no",         // lanes are handed their work by pointer
    "smpi/barrier:ompi_bruck",
    "smpi/bw-factor:0:1",  // a bare 1 crashes it
    "smpi/lat-factor:0:1",          "network/crosstraffic:0",
    "network/TCP-gamma:0",  // no window that limits the rate by the latency
    "contexts/stack-size:256",
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

[[noreturn]] void refuse_nodes(const Machine& machine, const char* topology, int64_t multiple) {
  throw Error(ExitCode::settings, concat("a ", topology, " of ", machine.nodes,
                                         " nodes: give a multiple of ", multiple));
}

/// "TYPE" and its parameters; a machine of one switch needs none.
std::string topology_attributes(const Machine& machine) {
  const int64_t nodes = machine.nodes;
  switch (machine.topology) {
    case Topology::flat:
      return "";
    case Topology::fat_tree:
    case Topology::oversubscribed: {
      if (nodes <= kLeafNodes) return "";
      if (nodes % kLeafNodes != 0) refuse_nodes(machine, "fat tree", kLeafNodes);
      const int64_t up = machine.topology == Topology::fat_tree ? kLeafNodes : kLeafNodes / 4;
      return concat(" topology=\"FAT_TREE\" topo_parameters=\"2;", kLeafNodes, ",",
                    nodes / kLeafNodes, ";1,", up, ";1,1\"");
    }
    case Topology::torus: {
      const auto side = static_cast<int64_t>(std::llround(std::cbrt(static_cast<double>(nodes))));
      // As near to a cube as its factors allow.
      int64_t x = side, y = 0;
      while (x > 1 && nodes % x != 0) --x;
      const int64_t plane = nodes / x;
      y = static_cast<int64_t>(std::sqrt(static_cast<double>(plane)));
      while (y > 1 && plane % y != 0) --y;
      return concat(" topology=\"TORUS\" topo_parameters=\"", x, ",", y, ",", plane / y, "\"");
    }
    case Topology::dragonfly: {
      const int64_t group = kChassis * kRouters * kRouterNodes;
      if (nodes % group != 0) refuse_nodes(machine, "dragonfly", group);
      return concat(" topology=\"DRAGONFLY\" topo_parameters=\"", nodes / group, ",1;", kChassis,
                    ",1;", kRouters, ",1;", kRouterNodes, "\"");
    }
  }
  return "";
}

}  // namespace

int roles(const StepProfile& profile) {
  if (!profile.overlap) return 1;
  return profile.group > 1 ? 3 : 2;
}

StepProfile settled_profile(StepProfile profile, const Machine& machine, SumAlgorithm algorithm,
                            int64_t group, int64_t chunk_bytes) {
  const int64_t workers = machine.nodes * machine.ranks_a_node;
  if (group > 0 && profile.group > 0) {
    for (GatherPiece& piece : profile.slices.pieces) {
      const int64_t plain = piece.slice_bytes * profile.group;
      piece.slice_bytes = (plain - 1) / group + 1;
      piece.plain_bytes = piece.slice_bytes * group;
    }
    profile.slices.window = std::max(profile.slices.window, least_window(profile.slices.pieces));
    profile.group = group;
  }
  if (profile.group > 0 && workers % profile.group != 0) {
    throw Error(ExitCode::settings,
                concat(workers, " ranks do not come in groups of ", profile.group,
                       ", which share a teacher: give scaling.group or other scaling.nodes"));
  }
  profile.chunk_bytes = chunk_bytes;
  if (chunk_bytes == 0) {
    const int64_t bytes = 4 * profile.elements;
    const double latency_s = sum_seconds(algorithm, workers, 0, machine.link);
    const double transfer_s = sum_seconds(algorithm, workers, bytes, machine.link) - latency_s;
    profile.chunk_bytes =
        workers == 1 ? kDefaultChunkBytes
                     : chunk_bytes_for({latency_s, static_cast<double>(bytes) / transfer_s}, bytes);
  }
  return profile;
}

std::string platform_xml(const Machine& machine, int64_t fraction) {
  // A message passes two links: its sender's and its receiver's.
  return concat(
      "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM "
      "\"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n  <cluster id=\"machine\" "
      "prefix=\"node-\" suffix=\"\" radical=\"0-",
      machine.nodes - 1, "\" speed=\"1Gf\" bw=\"",
      number(machine.link.bytes_per_s / static_cast<double>(fraction)), "Bps\" lat=\"",
      number(machine.link.latency_s / 2), "s\" sharing_policy=\"SPLITDUPLEX\"",
      // Ranks of a node share memory: what they send each other is not limited by its link.
      " loopback_bw=\"", number(kMemoryBytesPerSecond / static_cast<double>(fraction)),
      "Bps\" loopback_lat=\"0s\"", topology_attributes(machine), "/>\n</platform>\n");
}

std::string host_lines(const Machine& machine, int roles) {
  std::string lines;
  for (int64_t node = 0; node < machine.nodes; ++node) {
    const std::string line = concat("node-", node, '\n');
    for (int64_t i = 0; i < machine.ranks_a_node * roles; ++i) lines += line;
  }
  return lines;
}

std::vector<std::string> simulation_command(const Simulation& simulation, int roles,
                                            const std::string& program, const std::string& platform,
                                            const std::string& hosts, const std::string& profile) {
  const Machine& machine = simulation.machine;
  std::vector<std::string> words = {"smpirun",
                                    "-np",
                                    std::to_string(machine.nodes * machine.ranks_a_node * roles),
                                    "-platform",
                                    platform,
                                    "-hostfile",
                                    hosts,
                                    "--log=root.thres:warning"};
  for (const char* setting : kSettings) words.push_back(concat("--cfg=", setting));
  if (simulation.algorithm == SumAlgorithm::open_mpi) {
    words.push_back("--cfg=smpi/coll-selector:ompi");
  } else {
    const bool alone = machine.nodes * machine.ranks_a_node == 1;  // which halving does not survive
    const bool ring = simulation.algorithm == SumAlgorithm::ring || alone;
    words.push_back(concat("--cfg=smpi/allreduce:", ring ? "lr" : "rab"));
    words.push_back("--cfg=smpi/allgather:NTSLR");
  }
  words.insert(words.end(), {program, profile, std::to_string(simulation.steps),
                             std::to_string(simulation.fraction)});
  return words;
}

}  // namespace bitstill
