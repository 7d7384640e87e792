// The learning rate over time.
#pragma once

#include "bitstill/base/json.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// train.rate for train.global_batch samples a step (train.base_batch; Goyal et al. 2017).
double peak_rate(const TrainOptions& options);

/// Where in a run a step stands; epochs may differ in their steps. All 0-based.
struct Moment {
  int64_t step = 0;    // since the run's start
  int64_t epoch = 0;   // the step's
  int64_t within = 0;  // its number in the epoch
  int64_t steps = 1;   // that the epoch has
  /// Done so far, the one under way by its share of steps.
  double epochs() const {
    return static_cast<double>(epoch * steps + within) / static_cast<double>(steps);
  }
};

/// constant; step: times rate_factor after each of step_epochs; cosine: to zero at the end;
/// polynomial: to zero as (1 - done)^power; plateau: times rate_factor when validation error has
/// not dropped by plateau_points for plateau_epochs; halve: times rate_factor in each epoch from
/// the one behind step_epochs' only entry on (OpenNMT's start_decay_at and learning_rate_decay).
/// All with a linear warm-up over warmup_epochs.
///
/// inverse_sqrt, of Vaswani et al., Attention Is All You Need, 2017, equation 3: with s the step,
/// 1-based, and w = warmup_steps,
///   rate(s) = rate * min(s^-0.5, s * w^-1.5) * w^0.5,
/// train.rate at s = w, its greatest; the paper's has size^-0.5 in the place of rate * w^0.5.
class Schedule {
 public:
  explicit Schedule(const TrainOptions& options);
  double rate(const Moment& moment) const;
  /// After each epoch, with the validation error in percent; the same on all ranks.
  void observe(double validation_error);

  Json state() const;  // for checkpoints
  void restore(const Json& state);

 private:
  double decayed(double peak, const Moment& moment) const;

  TrainOptions options_;
  double factor_ = 1;  // plateau
  double best_error_ = 1e9;
  int64_t epochs_without_ = 0;
};

}  // namespace bitstill
