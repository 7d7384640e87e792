// Winograd's transform of the weights in SIMD, in double: where layers come in slices it runs at
// every step. Google Highway compiles this file once for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/winograd_weights.cpp"  // from include/
// Vectors in arrays need a size that is known at compile time.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include "winograd_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::CappedTag<double, 8>;
using Narrow = hn::Rebind<float, Wide>;
using V = hn::Vec<Wide>;
constexpr int64_t kLanes = hn::MaxLanes(Wide());
constexpr int64_t kSide = kWinogradSide;

/// t = G g for one column or row. Row p of G is [1, p, p^2, ...] / prod of (p - q) over the other
/// points q of 0, a, -a, b, -b; the last one is [0, ..., 0, 1].
template <int64_t kKernel>
HWY_INLINE void transform(const V (&g)[kKernel], V (&t)[kSide]) {
  const Wide d;
  constexpr double kA = kWinogradPoints[0], kB = kWinogradPoints[1];
  constexpr double kA2 = kA * kA, kB2 = kB * kB;
  t[0] = hn::Mul(hn::Set(d, 1 / (kA2 * kB2)), g[0]);
  for (const bool second : {false, true}) {
    const double p = second ? kB : kA, square = p * p, other = second ? kA2 : kB2;
    V even = hn::MulAdd(hn::Set(d, square), g[2], g[0]), odd = g[1];
    if constexpr (kKernel == 5) {
      even = hn::MulAdd(hn::Set(d, square * square), g[4], even);
      odd = hn::MulAdd(hn::Set(d, square), g[3], odd);
    }
    const V by = hn::Set(d, 1 / (2 * square * (square - other))), times = hn::Set(d, p);
    t[second ? 3 : 1] = hn::Mul(by, hn::MulAdd(times, odd, even));
    t[second ? 4 : 2] = hn::Mul(by, hn::NegMulAdd(times, odd, even));
  }
  t[kSide - 1] = g[kKernel - 1];
}

/// kLanes output channels of one input: plain [kKernel][kKernel][outputs] -> every plane's.
template <int64_t kKernel>
HWY_INLINE void transform_channels(const float* plain, int64_t outputs, float* weight,
                                   int64_t plane) {
  const Wide d;
  const Narrow narrow;
  V half[kKernel][kSide];  // of row i, [j]: by columns first
  for (int64_t i = 0; i < kKernel; ++i) {
    V g[kKernel];
    for (int64_t j = 0; j < kKernel; ++j) {
      g[j] = hn::PromoteTo(d, hn::Load(narrow, plain + (i * kKernel + j) * outputs));
    }
    transform(g, half[i]);
  }
  for (int64_t j = 0; j < kSide; ++j) {
    V g[kKernel], t[kSide];
    for (int64_t i = 0; i < kKernel; ++i) g[i] = half[i][j];
    transform(g, t);
    for (int64_t i = 0; i < kSide; ++i) {
      hn::Store(hn::DemoteTo(narrow, t[i]), narrow, weight + (kSide * i + j) * plane);
    }
  }
}

void transform_inputs(const float* plain, int64_t inputs, int64_t kernel, int64_t outputs,
                      int64_t begin, int64_t end, float* weight) {
  int64_t channels = 0;
  for (int64_t first = 0; first < outputs; first += channels) {
    channels = winograd_block((outputs - first) / kWinogradChannels) * kWinogradChannels;
    for (int64_t input = begin; input < end; ++input) {
      const float* const from = plain + input * kernel * kernel * outputs + first;
      float* const to = weight + first * kSide * kSide * inputs + input * channels;
      for (int64_t c = 0; c < channels; c += kLanes) {
        (kernel == 3 ? transform_channels<3> : transform_channels<5>)(from + c, outputs, to + c,
                                                                      inputs * channels);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(transform_inputs);

void winograd_weights(const float* plain, int64_t inputs, int64_t kernel, int64_t outputs,
                      int64_t begin, int64_t end, float* weight) {
  HWY_DYNAMIC_DISPATCH(transform_inputs)(plain, inputs, kernel, outputs, begin, end, weight);
}

}  // namespace bitstill
#endif
