// The parts of `bitstill scaling`, each for rank 0 alone; the options are checked.
#pragma once

#include <string>

#include "bitstill/config/run_config.hpp"
#include "bitstill/config/scaling.hpp"

namespace bitstill {

enum class ScaledCommand { distill, train };
template <>
struct WordsOf<ScaledCommand> {
  using enum ScaledCommand;
  static constexpr Word<ScaledCommand> kTable[] = {{distill, "distill"}, {train, "train"}};
};

/// The job whose points are measured.
struct ScaledJob {
  RunConfig config;
  ScaledCommand command = ScaledCommand::distill;
  std::string recipe;  // all of its settings, as a recipe
};

/// Writes plan.json, recipe.cfg, submit.sh and a script for each point into scaling.folder. The
/// same again is taken, another plan beside points that have begun is Error(settings).
std::vector<ScalingPoint> emit_points(const ScalingOptions& options, const ScaledJob& job);
/// Starts the scripts here, one after the other, on the hosts of scaling.hostfile; those that have
/// ended are left out. Error(settings) for more ranks than slots.
void run_points(const ScalingOptions& options, const ScaledJob& job);
/// Prints what the points came to, and writes the page.
void collect_points(const ScalingOptions& options, const std::string& page);
/// Walks the profile of a step on simulated machines of scaling.nodes.
void simulate_points(const ScalingOptions& options);

}  // namespace bitstill
