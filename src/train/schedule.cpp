#include "bitstill/train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bitstill {

double peak_rate(const TrainOptions& options) {
  if (options.base_batch == 0) return options.rate;
  return options.rate * static_cast<double>(options.global_batch) /
         static_cast<double>(options.base_batch);
}

Schedule::Schedule(const TrainOptions& options, int64_t steps_per_epoch)
    : options_(options), steps_per_epoch_(steps_per_epoch) {}

double Schedule::rate(int64_t step) const {
  const double epoch = static_cast<double>(step) / static_cast<double>(steps_per_epoch_);
  double rate = peak_rate(options_) * factor_;
  if (options_.warmup_epochs > 0 && epoch < options_.warmup_epochs) {
    return rate * static_cast<double>(step + 1) /
           std::ceil(options_.warmup_epochs * static_cast<double>(steps_per_epoch_));
  }
  if (options_.schedule == RateSchedule::step) {
    for (const int64_t cut : options_.step_epochs) {
      if (epoch >= static_cast<double>(cut)) rate *= options_.rate_factor;
    }
  } else if (options_.schedule == RateSchedule::cosine ||
             options_.schedule == RateSchedule::polynomial) {
    const double length = static_cast<double>(options_.epochs) - options_.warmup_epochs;
    const double done = std::clamp((epoch - options_.warmup_epochs) / length, 0.0, 1.0);
    rate *= options_.schedule == RateSchedule::cosine
                ? 0.5 * (1 + std::cos(std::numbers::pi * done))
                : std::pow(1 - done, options_.power);
  }
  return rate;
}

void Schedule::observe(double validation_error) {
  if (options_.schedule != RateSchedule::plateau) return;
  if (validation_error < best_error_ - options_.plateau_points) {
    best_error_ = validation_error;
    epochs_without_ = 0;
  } else if (++epochs_without_ >= options_.plateau_epochs) {
    factor_ *= options_.rate_factor;
    epochs_without_ = 0;
  }
}

Json Schedule::state() const {
  return {{"factor", factor_}, {"best_error", best_error_}, {"epochs_without", epochs_without_}};
}

void Schedule::restore(const Json& state) {
  factor_ = state.at("factor").get<double>();
  best_error_ = state.at("best_error").get<double>();
  epochs_without_ = state.at("epochs_without").get<int64_t>();
}

}  // namespace bitstill
