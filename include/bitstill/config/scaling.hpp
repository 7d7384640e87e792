// The settings of `bitstill scaling`: how a job would scale over nodes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/scale/simulation.hpp"

namespace bitstill {

struct ScalingOptions {
  std::string folder = "runs/scaling";
  std::string profile;
  std::vector<int64_t> nodes = {1, 2, 4, 8};
  int64_t ranks = 1;
  int64_t group = 0;
  int64_t chunk_bytes = 0;
  Topology topology = Topology::flat;
  double gbit = 100, latency_us = 2;
  SumAlgorithm algorithm = SumAlgorithm::halving;
  int64_t steps = 3;
  int64_t fraction = 64;
};
template <ConstOr<ScalingOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "where results and what they were made from are kept");
  visit("profile", options.profile, "of a step: a file of bitstill bench step --profile");
  visit("nodes", options.nodes, "numbers of nodes, rising");
  visit("ranks", options.ranks, "of a node");
  visit("group", options.group, "ranks that share a teacher in slices; 0: as in the profile");
  visit("chunk_bytes", options.chunk_bytes,
        "of the exchange; 0: as the trainer would choose on the simulated machine");
  visit("topology", options.topology, "of the simulated machine");
  visit("gbit", options.gbit, "Gbit/s of a node's link, each way");
  visit("latency_us", options.latency_us, "microseconds of a message between two nodes");
  visit("algorithm", options.algorithm, "of sums over ranks; open_mpi: as its rules choose");
  visit("steps", options.steps, "simulated steps that are timed, after two others");
  visit("fraction", options.fraction,
        "sizes and rates are divided by it: less memory, the same times");
}
/// Error(settings).
void check(const ScalingOptions& options);

}  // namespace bitstill
