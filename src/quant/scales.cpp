#include "scales.hpp"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitstill {
namespace {

constexpr float kSmallest = 1e-10f;
constexpr int kRangeSteps = 24;      // candidates for each end of the range of least error
constexpr float kRangeStep = 0.02f;  // of the full range

/// Rounds to the type T, toward plus or minus infinity. T's bits order as a sign and a magnitude.
template <class T>
float rounded(float value, bool up) {
  T half(value);
  const auto back = static_cast<float>(half);
  if (back == value || (up ? back > value : back < value)) return back;
  if (back == 0) {
    half.x = up ? 0x0001 : 0x8001;
  } else {
    half.x = static_cast<uint16_t>(half.x + ((back > 0) == up ? 1 : -1));
  }
  return static_cast<float>(half);
}

template <class T>
BucketScale outward(BucketScale scale, bool linear) {
  if (!linear) return {rounded<T>(scale.alpha, true), 0};
  const float high = scale.beta + scale.alpha;
  const float beta = rounded<T>(scale.beta, false);
  return {rounded<T>(std::max(high - beta, scale.alpha), true), beta};
}

double squared_error(const float* values, int64_t count, float low, float high, int64_t points) {
  const float last = static_cast<float>(points - 1), range = high - low;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float x = std::clamp((values[i] - low) / range, 0.0f, 1.0f);
    const float w = std::nearbyint(x * last) / last * range + low;
    sum += static_cast<double>(values[i] - w) * static_cast<double>(values[i] - w);
  }
  return sum;
}

/// Draws the ends in, one after the other and once more, as long as the squared error falls.
BucketScale range_of_least_error(const float* values, int64_t count, float low, float high,
                                 int64_t points) {
  const float range = high - low;
  const float step = range * kRangeStep;
  int below = 0, above = 0;  // steps that each end is drawn in
  const auto error = [&](int b, int a) {
    return squared_error(values, count, low + static_cast<float>(b) * step,
                         high - static_cast<float>(a) * step, points);
  };
  double best = error(0, 0);
  for (int round = 0; round < 2; ++round) {
    for (int* end : {&below, &above}) {
      const int before = *end;
      int least = before;
      for (*end = 0; *end < kRangeSteps; ++*end) {
        if (const double now = error(below, above); now < best) {
          best = now;
          least = *end;
        }
      }
      *end = least;
    }
  }
  const float beta = low + static_cast<float>(below) * step;
  return {high - static_cast<float>(above) * step - beta, beta};
}

}  // namespace

BucketScale scale_of_bucket(const QuantOptions& options, int64_t points, const float* values,
                            int64_t count) {
  BucketScale scale;
  const bool linear = options.scaling == Scaling::linear;
  if (!std::all_of(values, values + count, [](float v) { return std::isfinite(v); })) {
    return {std::numeric_limits<float>::quiet_NaN(), 0};
  }
  if (linear) {
    const auto [low, high] = std::minmax_element(values, values + count);
    scale = {*high - *low, *low + 0.0f};
    if (options.range == BucketRange::error && std::isfinite(scale.alpha) &&
        scale.alpha >= kSmallest) {
      scale = range_of_least_error(values, count, *low, *high, points);
    }
  } else if (options.scaling == Scaling::absmax) {
    scale.alpha = 0;
    for (int64_t i = 0; i < count; ++i) scale.alpha = std::max(scale.alpha, std::abs(values[i]));
  } else {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
    scale.alpha = static_cast<float>(std::sqrt(sum));
  }
  if (scale.alpha < kSmallest) scale.alpha = 1;
  if (options.scales == ScaleType::fp16) return outward<c10::Half>(scale, linear);
  if (options.scales == ScaleType::bf16) return outward<c10::BFloat16>(scale, linear);
  return scale;
}

}  // namespace bitstill
