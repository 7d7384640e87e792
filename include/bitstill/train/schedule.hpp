// The learning rate over time.
#pragma once

#include "bitstill/base/json.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// train.rate for train.global_batch samples a step (train.base_batch; Goyal et al. 2017).
double peak_rate(const TrainOptions& options);

/// constant; step: times rate_factor after each of step_epochs; cosine: to zero at the end;
/// polynomial: to zero as (1 - done)^power; plateau: times rate_factor when validation error has
/// not dropped by plateau_points for plateau_epochs. All with a linear warm-up.
class Schedule {
 public:
  Schedule(const TrainOptions& options, int64_t steps_per_epoch);
  /// Rate of a step (0-based over the whole run).
  double rate(int64_t step) const;
  /// After each epoch, with the validation error in percent; the same on all ranks.
  void observe(double validation_error);

  Json state() const;  // for checkpoints
  void restore(const Json& state);

 private:
  TrainOptions options_;
  int64_t steps_per_epoch_;
  double factor_ = 1;  // plateau
  double best_error_ = 1e9;
  int64_t epochs_without_ = 0;
};

}  // namespace bitstill
