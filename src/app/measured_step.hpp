// Steps of a job as it would begin, timed for --dry-run.
#pragma once

#include <cstdint>

#include "bitstill/comm/watchdog.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/run_plan.hpp"

namespace bitstill {

struct MeasuredStep {
  int64_t images = 0;    // of a rank's one pass; of sentences target tokens, of all its passes
  double step_s = 0;     // of the slowest rank, with that one pass
  double pass_s = 0;     // of it what every pass takes: data, teacher, forward, backward
  TrafficCounts sent{};  // by this rank in the step
  double memory_mb = 0;  // the most that a rank has held so far

  /// Of a step in which a rank sees so many images, in passes as this one.
  double seconds(int64_t images_of_rank) const {
    const double passes = static_cast<double>(images_of_rank) / static_cast<double>(images);
    return step_s + pass_s * (passes - 1);
  }
};

/// Real steps on the shards' images, the teacher's answers and the sums over ranks among them, in a
/// pass of `most_images` a rank, or of fewer where those would take more than some seconds; on
/// sentences the first step of `plan`. The student's masters keep their values.
/// Collective: every rank of world calls this.
MeasuredStep measure_step(World& world, Watchdog& watchdog, const Dataset& dataset,
                          const RunPlan& plan, Student& student, Teacher* teacher,
                          const TrainingOptions& options, const at::Device& device,
                          int64_t most_images);

}  // namespace bitstill
