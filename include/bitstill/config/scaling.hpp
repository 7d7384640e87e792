// The settings of `bitstill scaling`: how a job scales over nodes. Its points, measured by jobs of
// their own, and the scripts that start them; and the machines on which a step is simulated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/scale/simulation.hpp"

namespace bitstill {

/// weak: the batch grows with the nodes; strong: it stays.
enum class ScalingMode { weak, strong };
template <>
struct WordsOf<ScalingMode> {
  using enum ScalingMode;
  static constexpr Word<ScalingMode> kTable[] = {{weak, "weak"}, {strong, "strong"}};
};

/// By what a point's script starts the ranks.
enum class ScalingLauncher { run, srun };
template <>
struct WordsOf<ScalingLauncher> {
  using enum ScalingLauncher;
  static constexpr Word<ScalingLauncher> kTable[] = {{run, "run", "launch/run.sh (mpirun)"},
                                                     {srun, "srun", "srun --mpi=pmix"}};
};

struct ScalingOptions {
  std::string folder = "runs/scaling";
  std::vector<int64_t> nodes = {1, 2, 4, 8};
  int64_t ranks = 1;
  // measured
  std::string modes = "weak,strong";
  int64_t repeats = 3, seed = 1;
  int64_t skip_steps = 20, steps = 100;
  int64_t threads = 1;
  ScalingLauncher launcher = ScalingLauncher::run;
  std::string sbatch = "--time=00:30:00";
  std::string hostfile;
  // simulated
  std::string profile;
  int64_t group = 0;
  int64_t chunk_bytes = 0;
  Topology topology = Topology::flat;
  double gbit = 100, latency_us = 2;
  SumAlgorithm algorithm = SumAlgorithm::halving;
  int64_t simulated_steps = 3;
  int64_t fraction = 64;
};
template <ConstOr<ScalingOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "where points, results and what they were made from are kept");
  visit("nodes", options.nodes, "numbers of nodes, rising");
  visit("ranks", options.ranks, "of a node");
  visit("modes", options.modes,
        "weak: the recipe's batch is that of the fewest nodes and grows with them; strong: of all");
  visit("repeats", options.repeats, "of each point, all in an order drawn by scaling.seed");
  visit("seed", options.seed, "of the points' order");
  visit("skip_steps", options.skip_steps, "a point's first steps, which do not count");
  visit("steps", options.steps, "of a point that count");
  visit("threads", options.threads, "cores of a rank");
  visit("launcher", options.launcher, "");
  visit("sbatch", options.sbatch, "more words for sbatch, in every script");
  visit("hostfile", options.hostfile,
        "run: mpirun's, a node a line with slots=N; empty: this host, one node");
  visit("profile", options.profile, "simulate: a file of bitstill bench step --profile");
  visit("group", options.group,
        "simulate: ranks that share a teacher in slices; 0: as in the profile");
  visit("chunk_bytes", options.chunk_bytes,
        "simulate: of the exchange; 0: as the trainer would choose on the simulated machine");
  visit("topology", options.topology, "of the simulated machine");
  visit("gbit", options.gbit, "simulate: Gbit/s of a node's link, each way");
  visit("latency_us", options.latency_us, "simulate: microseconds of a message between two nodes");
  visit("algorithm", options.algorithm, "of simulated sums; open_mpi: as its rules choose");
  visit("simulated_steps", options.simulated_steps, "that are timed, after two others");
  visit("fraction", options.fraction,
        "simulate: sizes and rates are divided by it: less memory, the same times");
}
/// Error(settings).
void check(const ScalingOptions& options);

/// One job.
struct ScalingPoint {
  ScalingMode mode = ScalingMode::weak;
  int64_t nodes = 1, ranks = 1;  // ranks: of all nodes
  int64_t repeat = 1;            // from 1
  int64_t batch = 1;             // train.global_batch, or of sentences train.global_tokens
  std::string name() const;      // "weak_n4_r2"
};

/// All of checked options, in the order drawn. `batch`: the recipe's. Error(settings) where it
/// cannot grow evenly.
std::vector<ScalingPoint> plan_points(const ScalingOptions& options, int64_t batch);

/// What a point's script calls, absolute.
struct ScalingPlaces {
  std::string program;   // bitstill
  std::string launcher;  // launch/run.sh
  std::string folder;    // scaling.folder
  std::string start;     // where relative names of the recipe begin
  std::string command;   // train | distill
  std::string batch;     // the setting's name
};
/// A script for sbatch or bash: folder/points/NAME.sh.
std::string point_script(const ScalingOptions& options, const ScalingPoint& point,
                         const ScalingPlaces& places);
/// Hands all points that have not ended to sbatch: folder/submit.sh.
std::string submit_script(const ScalingOptions& options, const std::vector<ScalingPoint>& points);

}  // namespace bitstill
