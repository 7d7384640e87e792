// Other gradients of the masters than the straight-through one.
#include "bitstill/quant/master_gradient.hpp"

#include <algorithm>
#include <cmath>

#include "block_sum.hpp"

namespace bitstill {

void truncate_masters(const float* masters, int64_t count, float* out) {
  std::transform(masters, masters + count, out, [](float w) { return std::clamp(w, -1.0f, 1.0f); });
}

void truncated_gradient(const float* masters, int64_t count, float* gradients) {
  for (int64_t i = 0; i < count; ++i) {
    if (std::abs(masters[i]) > 1) gradients[i] = 0;
  }
}

void range_gradient(const CodedRun& run, const float* masters, float* gradients) {
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    const float* const low = std::min_element(masters + begin, masters + end);
    const float* const high = std::max_element(masters + begin, masters + end);
    if (*high - *low < 1e-10f) continue;
    const float c = piece_sum(begin, end, [&](int64_t i) {
      const float x = (masters[i] - run.beta[b]) / run.alpha[b];
      return gradients[i] * (run.points[run.codes[i]] - x);
    });
    gradients[high - masters] += c;
    gradients[low - masters] -= c;
  }
}

void clipped_gradient(const CodedRun& run, int point_count, const float* masters,
                      float* gradients) {
  for (int64_t i = 0; i < run.count; ++i) {
    const float alpha = run.alpha[i / run.bucket], beta = run.beta[i / run.bucket];
    const float low = run.points[0] * alpha + beta;
    const float high = run.points[point_count - 1] * alpha + beta;
    if (masters[i] < low || masters[i] > high) gradients[i] = 0;
  }
}

}  // namespace bitstill
