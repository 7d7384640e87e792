// A whole run: epochs of steps, validation, checkpoints, and the files that ship.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitstill/base/run_log.hpp"
#include "bitstill/comm/watchdog.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/run_plan.hpp"
#include "bitstill/train/step.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Where and from what a run begins.
struct RunStart {
  at::Device device = at::kCPU;
  std::string resume_from;  // the checkpoint to go on from, the same on all ranks; empty: none
  Json record;              // what the run was started with, for its checkpoints
  std::function<bool()> stop_requested = [] { return false; };
  /// Rank 0, before anything is published in the run folder; throws when that is no longer this
  /// job's.
  std::function<void()> may_publish = [] {};
  /// Rank 0: the checkpoint of this step is on disk; from another thread.
  std::function<void(int64_t step)> published = [](int64_t) {};
};

/// What the last line of a run says.
struct RunResult {
  ClassificationCounts validation, test;  // of the decoded student.safetensors
  int64_t best_epoch = 0;
  bool stopped = false;  // by a signal, before the end
  bool cut = false;      // after run.stop_steps, before the end
};

/// Trains `student` by `plan` (of `dataset`) and writes into the run folder: checkpoints after
/// every epoch, as run.save_steps and run.save_minutes say and when a signal stops it, at the end
/// master.safetensors and student.safetensors. `about` describes the model (infer's
/// describe_model). Errors that a rank meets alone before an exchange become every rank's.
/// Collective: every rank of world calls this.
RunResult run_training(World& world, Watchdog& watchdog, const Dataset& dataset,
                       const RunPlan& plan, Student& student, Teacher* teacher,
                       const TrainingOptions& options, const RunStart& start, const Json& about,
                       RunLog& log);

}  // namespace bitstill
