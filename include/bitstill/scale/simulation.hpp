// Simulations of a job on large machines: the platform, and the command that runs scale_sim on it
// (SimGrid's smpirun). Every setting of the simulator stands in simulation.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/scale/formula.hpp"
#include "bitstill/scale/profile.hpp"

namespace bitstill {

/// flat: one switch without limits. fat_tree: leaf switches of 16 nodes with as many links up;
/// oversubscribed: with a quarter of them. torus: of three dimensions. dragonfly: groups of 4
/// chassis of 4 routers.
enum class Topology { flat, fat_tree, oversubscribed, torus, dragonfly };
template <>
struct WordsOf<Topology> {
  using enum Topology;
  static constexpr Word<Topology> kTable[] = {{flat, "flat"},
                                              {fat_tree, "fat_tree"},
                                              {oversubscribed, "oversubscribed"},
                                              {torus, "torus"},
                                              {dragonfly, "dragonfly"}};
};

/// A machine to simulate. The link is a node's; its latency is that of a message between two
/// nodes of one switch.
struct Machine {
  Topology topology = Topology::flat;
  int64_t nodes = 1;
  int64_t ranks_a_node = 1;
  NetworkLink link;
};

struct Simulation {
  Machine machine;
  /// Of sums over ranks; of gathers it is a ring of neighbours.
  SumAlgorithm algorithm = SumAlgorithm::halving;
  int64_t steps = 3;
  int64_t fraction = 64;  // sizes and rates are divided by it
};

/// SimGrid ranks of a worker: its main thread and its lanes.
int roles(const StepProfile& profile);

/// The profile of the same job with teachers shared by so many ranks each (0: as it is), and chunks
/// of so many bytes (0: those that the trainer would choose on this machine, see comm/link.hpp).
/// Error(settings) where the ranks do not come in such groups.
StepProfile settled_profile(StepProfile profile, const Machine& machine, SumAlgorithm algorithm,
                            int64_t group, int64_t chunk_bytes);

/// SimGrid's description of the machine, rates divided by `fraction`. Error(settings) where the
/// topology cannot have so many nodes.
std::string platform_xml(const Machine& machine, int64_t fraction);
/// The host of each simulated rank, a line each.
std::string host_lines(const Machine& machine, int roles);
/// smpirun and its arguments; `program` is scale_sim, and platform_xml and host_lines lie in the
/// files named. Prints a line of JSON: workers, step_s, sent.
std::vector<std::string> simulation_command(const Simulation& simulation, int roles,
                                            const std::string& program, const std::string& platform,
                                            const std::string& hosts, const std::string& profile);

}  // namespace bitstill
