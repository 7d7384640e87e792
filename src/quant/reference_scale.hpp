// What the slow references share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace bitstill {

struct ReferenceScale {
  float alpha = 1, beta = 0;
  bool good = false;
};

/// Linear scaling of the values [begin, end) of a run, or its given scale of bucket b; `first` and
/// `last` are the outermost points.
template <class Run>
ReferenceScale reference_scale(const Run& run, int64_t b, int64_t begin, int64_t end, float first,
                               float last) {
  const float* values = run.masters;
  if (!std::all_of(values + begin, values + end, [](float v) { return std::isfinite(v); })) {
    return {};
  }
  ReferenceScale scale;
  if (run.alpha != nullptr) {
    scale.alpha = run.alpha[b];
    scale.beta = run.beta[b];
  } else {
    // -0 becomes +0: which zero is found depends on the order.
    scale.beta = *std::min_element(values + begin, values + end) + 0.0f;
    scale.alpha = *std::max_element(values + begin, values + end) - scale.beta;
    if (scale.alpha < 1e-10f) scale.alpha = 1;
  }
  scale.good = std::isfinite(scale.alpha) && scale.alpha > 0 &&
               std::isfinite(first * scale.alpha + scale.beta) &&
               std::isfinite(last * scale.alpha + scale.beta);
  return scale;
}

}  // namespace bitstill
