// The slow reference of the LSQ kernels.
#include <algorithm>
#include <cmath>

#include "bitstill/quant/lsq_kernel.hpp"
#include "block_sum.hpp"

namespace bitstill {

int64_t reference_lsq(const LsqRun& run, float* shadows, uint8_t* codes) {
  const auto qn = static_cast<float>(1 << (run.bits - 1));
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    const float step = run.steps[b];
    const bool finite = std::all_of(run.masters + begin, run.masters + end,
                                    [](float v) { return std::isfinite(v); });
    if (!finite || !(step > 0) || !std::isfinite(step * qn)) return b;
    for (int64_t i = begin; i < end; ++i) {
      const float level = std::clamp(std::nearbyint(run.masters[i] / step), -qn, qn - 1);
      codes[i] = static_cast<uint8_t>(level + qn);
      shadows[i] = level * step + 0.0f;
    }
  }
  return -1;
}

void reference_lsq_gradient(const LsqRun& run, float* gradients, float* step_gradients) {
  const auto qn = static_cast<float>(1 << (run.bits - 1));
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    step_gradients[b] = piece_sum(begin, end, [&](int64_t i) {
      const float t = run.masters[i] / run.steps[b], gradient = gradients[i];
      if (t > -qn && t < qn - 1) return gradient * (std::nearbyint(t) - t);
      gradients[i] = 0;
      return gradient * (t > 0 ? qn - 1 : -qn);
    });
  }
}

}  // namespace bitstill
