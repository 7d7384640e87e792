#include "bitstill/report/axis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitstill {
namespace {

constexpr int kWantedTicks = 6;
constexpr double kMostSpan = 1e6;      // of a logarithmic axis: less lies at its low end
constexpr double kTopAccuracy = 99.9;  // where an axis spread by the error ends
/// Spans between such values have steps: below, and between larger ones, they round to 0 and
/// infinity.
constexpr double kLeast = 1e-300, kMost = 1e300;

/// 1, 2 or 5 times a power of ten, so that about kWantedTicks steps cover `range`.
double nice_step(double range) {
  const double raw = range / kWantedTicks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

/// Multiples of a nice step that enclose [low, high], low < high.
std::vector<double> linear_ticks(double low, double high) {
  const double step = nice_step(high - low);
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

/// 1, 2 and 5 (over many decades: only 1) times powers of ten that enclose [low, high], 0 < low.
std::vector<double> logarithmic_ticks(double low, double high) {
  const double decades = std::log10(high / low);
  const int every = std::max(1, static_cast<int>(std::ceil(decades / 8)));
  std::vector<double> all;
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  for (int e = first - every; e <= std::log10(high) + every; e += every) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor == 1 || decades < 3.2) all.push_back(factor * std::pow(10, e));
    }
  }
  const auto from = std::upper_bound(all.begin(), all.end(), low * 1.0001) - 1;
  const auto to = std::lower_bound(all.begin(), all.end(), high * 0.9999);
  return {from, to == all.end() ? to : to + 1};
}

/// Round accuracies that enclose [low, high], high <= kTopAccuracy.
std::vector<double> error_ticks(double low, double high) {
  std::vector<double> ticks;
  for (const double error : logarithmic_ticks(100 - high, 100 - low)) {
    ticks.insert(ticks.begin(), std::max(0.0, 100 - error));
  }
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  return ticks;
}

}  // namespace

Axis::Axis(Spacing scale, const std::vector<double>& values, bool from_zero, End end)
    : scale_(scale) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (double value : values) {
    if (!std::isfinite(value)) continue;
    value = std::abs(value) < kLeast ? 0 : std::clamp(value, -kMost, kMost);
    if (scale == Spacing::logarithmic && value <= 0) continue;
    if (scale == Spacing::error) value = std::clamp(value, 0.0, kTopAccuracy);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = 1;
  if (scale == Spacing::logarithmic) low = std::max(low, high / kMostSpan);
  if (scale == Spacing::linear && from_zero) low = std::min(low, 0.0);
  // Where the values span less than a factor of four, round linear steps read better.
  const bool narrow = scale == Spacing::logarithmic ? high < 4 * low
                      : scale == Spacing::error     ? 100 - low < 4 * (100 - high)
                                                    : true;
  if (narrow) {
    const double size = std::max(std::abs(low), std::abs(high));
    if (high - low < (scale == Spacing::error ? 0.01 : 1e-9 * size) || size == 0) {
      const double room = scale == Spacing::error || size == 0 ? 1 : 0.05 * size;
      if (low != 0) low -= room;
      high += room;
    }
    if (scale == Spacing::error) {
      low = std::max(low, 0.0);
      high = std::min(high, kTopAccuracy);
    }
    ticks_ = linear_ticks(low, high);
    // Zero has no place on a logarithmic axis, and its low end has to be marked all the same.
    if (scale == Spacing::logarithmic && ticks_.front() <= 0) ticks_ = logarithmic_ticks(low, high);
  } else {
    ticks_ = scale == Spacing::error ? error_ticks(low, high) : logarithmic_ticks(low, high);
  }
  std::erase_if(ticks_, [&](double tick) {
    if (scale == Spacing::error && tick >= 100) return true;
    const double slack = 1e-9 * (high - low);
    return end == End::exact && (tick < low - slack || tick > high + slack);
  });
  low_ = spread(std::min(low, ticks_.front()));
  high_ = spread(std::max(high, ticks_.back()));
}

double Axis::spread(double value) const {
  if (scale_ == Spacing::logarithmic)
    return std::log10(std::max(value, std::numeric_limits<double>::min()));
  if (scale_ == Spacing::error) return -std::log10(std::max(100 - value, 100 - kTopAccuracy));
  return value;
}

bool Axis::covers(double value) const {
  if (scale_ == Spacing::error && value > kTopAccuracy) return false;
  const double slack = 1e-9 * (high_ - low_);
  return spread(value) >= low_ - slack && spread(value) <= high_ + slack;
}

double Axis::place(double value) const {
  return std::clamp((spread(value) - low_) / (high_ - low_), 0.0, 1.0);
}

}  // namespace bitstill
