// The slow reference of the uniform quantizer: one value after the other, straight from the paper.
#include <algorithm>
#include <cmath>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "reference_scale.hpp"

namespace bitstill {
namespace {

/// Number `index` of RandomStream(seed, rounding, step), as a number of [0, 1).
float random_number(const UniformRun& run, uint64_t index) {
  const uint64_t block = index / 4;
  const auto words =
      philox({static_cast<uint32_t>(block), static_cast<uint32_t>(run.step),
              static_cast<uint32_t>(run.step >> 32), static_cast<uint32_t>(block >> 32)},
             run.key);
  return static_cast<float>(words[index % 4] >> 8) * 0x1p-24f;
}

float code_of(const UniformRun& run, int64_t i, float x, float last) {
  const float scaled = std::clamp(x * last, 0.0f, last) + 0.0f;  // never -0
  if (!run.stochastic) return std::nearbyint(scaled);
  const float low = std::floor(scaled);
  const bool up = random_number(run, run.first + static_cast<uint64_t>(i)) < scaled - low;
  return low + (up ? 1.0f : 0.0f);
}

}  // namespace

int64_t reference_uniform(const UniformRun& run, float* shadows, uint8_t* codes, float* alpha,
                          float* beta) {
  const auto last = static_cast<float>(run.points - 1);
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    const ReferenceScale scale = reference_scale(run, b, begin, end, 0, 1);
    if (!scale.good) return b;
    alpha[b] = scale.alpha;
    beta[b] = scale.beta;
    for (int64_t i = begin; i < end; ++i) {
      const float code = code_of(run, i, (run.masters[i] - scale.beta) / scale.alpha, last);
      codes[i] = static_cast<uint8_t>(code);
      shadows[i] = code / last * scale.alpha + scale.beta;
    }
  }
  return -1;
}

}  // namespace bitstill
