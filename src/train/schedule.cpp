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

Schedule::Schedule(const TrainOptions& options) : options_(options) {}

double Schedule::rate(const Moment& moment) const {
  const double rate = peak_rate(options_) * factor_;
  if (options_.warmup_epochs > 0 && moment.epochs() < options_.warmup_epochs) {
    // In steps of the epoch under way.
    return rate * static_cast<double>(moment.epoch * moment.steps + moment.within + 1) /
           std::ceil(options_.warmup_epochs * static_cast<double>(moment.steps));
  }
  return decayed(rate, moment);
}

double Schedule::decayed(double rate, const Moment& moment) const {
  const auto done = [&] {  // of what follows the warm-up
    const double length = static_cast<double>(options_.epochs) - options_.warmup_epochs;
    return std::clamp((moment.epochs() - options_.warmup_epochs) / length, 0.0, 1.0);
  };
  switch (options_.schedule) {
    case RateSchedule::constant:
    case RateSchedule::plateau:
      break;
    case RateSchedule::step:
      for (const int64_t cut : options_.step_epochs) {
        if (moment.epoch >= cut) rate *= options_.rate_factor;
      }
      break;
    case RateSchedule::halve: {
      const int64_t cuts = moment.epoch + 1 - options_.step_epochs.front();
      rate *= std::pow(options_.rate_factor, static_cast<double>(std::max<int64_t>(cuts, 0)));
      break;
    }
    case RateSchedule::cosine:
      rate *= 0.5 * (1 + std::cos(std::numbers::pi * done()));
      break;
    case RateSchedule::polynomial:
      rate *= std::pow(1 - done(), options_.power);
      break;
    case RateSchedule::inverse_sqrt: {
      const double s = static_cast<double>(moment.step + 1);
      const double w = static_cast<double>(options_.warmup_steps);
      rate *= std::min(std::sqrt(w / s), s / w);
      break;
    }
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
