// A run from its first step, or a checkpoint's, to the files that ship.
#pragma once
#include <memory>
#include <string>

#include "bitstill/base/timer.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/checkpoint_writer.hpp"
#include "bitstill/train/run_records.hpp"
#include "bitstill/train/trainer.hpp"

namespace bitstill {

class TrainingRun {
 public:
  TrainingRun(World& world, Watchdog& watchdog, const Dataset& dataset, const RunPlan& plan,
              Student& student, Teacher* teacher, const TrainingOptions& options,
              const RunStart& start, Json about, RunLog& log);
  RunResult run();

 private:
  // training_run.cpp
  bool train_epoch(const EpochPlan& plan);  // what is left of it; false: stopped before its end
  /// run.stop_steps, once `more` steps are done.
  bool enough(int64_t more = 0) const {
    return options_.run.stop_steps > 0 && state_.step + more >= options_.run.stop_steps;
  }
  StepWishes wishes();
  Trained trained_now() const;
  void compare_ranks(int64_t step);
  void log_interval(const Moment& moment, double rate);
  EvaluateOptions evaluate_options() const;
  void validate();
  double score() const;
  /// Of the next step.
  Moment now(const EpochPlan& plan) const {
    return {state_.step, state_.epoch, state_.within(), plan.steps()};
  }

  // training_run_files.cpp
  ModelFile state() const;
  CheckpointMark mark() const {
    const bool selects = options_.train.select == Select::best;
    return {state_.step, state_.epoch, selects ? state_.best_step : 0};
  }
  void save(bool best, bool must);
  void resume();
  int64_t shipped_step() const;
  void finish(RunResult* result);
  Json measure_shipped(const std::string& name, RunResult* result);
  std::string path(const std::string& name) const { return options_.run.folder + "/" + name; }

  World& world_;
  Watchdog& watchdog_;
  const Dataset& dataset_;
  const RunPlan& plan_;
  Student& student_;
  Teacher* teacher_;
  const TrainingOptions& options_;
  const RunStart& start_;
  Json about_;
  RunLog& log_;

  std::unique_ptr<RowDecoder> decoder_;
  TrainingParts parts_;
  CheckpointWriter writer_;
  RunState state_;
  Timer since_save_;
  bool sentences_;
  ClassificationCounts validation_;
  Tally interval_;
  Timer interval_timer_;
  TrafficCounts traffic_{};
};

}  // namespace bitstill
