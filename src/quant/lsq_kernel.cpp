// SIMD kernels of learned step size quantization; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/quant/lsq_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>

#include "bitstill/quant/lsq_kernel.hpp"
#include "block_sum.hpp"
#include "buckets-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Moves one vector; qn = 2^(b-1).
template <Sink kSink, class D, class T>
HWY_INLINE void move_vector(D d, const float* values, hn::Vec<D> step, hn::Vec<D> qn, T* out) {
  const auto t = hn::Div(hn::LoadU(d, values), step);
  const auto qp = hn::Sub(qn, hn::Set(d, 1.0f));
  const auto level = hn::Round(hn::Min(hn::Max(t, hn::Neg(qn)), qp));
  if constexpr (kSink == Sink::codes) {
    const hn::RebindToSigned<D> di;
    const hn::Rebind<uint8_t, D> d8;
    hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(di, hn::Add(level, qn))), d8, out);
  } else {
    const auto shadow = hn::Add(hn::Mul(level, step), hn::Zero(d));
    if constexpr (kSink == Sink::streamed_shadows) {
      hn::Stream(shadow, d, out);
    } else {
      hn::StoreU(shadow, d, out);
    }
  }
}

template <Sink kSink, class T>
HWY_INLINE void move_values(const float* values, int64_t count, float step, float qn, T* out) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto steps = hn::Set(d, step), levels = hn::Set(d, qn);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    move_vector<kSink>(d, values + i, steps, levels, out + i);
  }
  constexpr Sink kRest = kSink == Sink::codes ? kSink : Sink::shadows;
  move_rest(values + i, count - i, out + i, [&](const float* rest, T* moved) HWY_ATTR {
    move_vector<kRest>(d, rest, steps, levels, moved);
  });
}

template <Sink kSink, class T>
HWY_INLINE int64_t move_run(const LsqRun& run, T* out) {
  const auto qn = static_cast<float>(1 << (run.bits - 1));
  return for_each_bucket(
      run, -qn, qn - 1,
      [&](int64_t b, Extent) {
        return Scale{run.steps[b], 0};
      },
      [&](int64_t, int64_t begin, int64_t count, Scale scale) HWY_ATTR {
        move_values<kSink>(run.masters + begin, count, scale.alpha, qn, out + begin);
      });
}

int64_t quantize(const LsqRun& run, bool stream, float* shadows) {
  return write_shadows(shadows, run.bucket, stream, [&](auto streamed) HWY_ATTR {
    constexpr Sink kSink = streamed ? Sink::streamed_shadows : Sink::shadows;
    return move_run<kSink>(run, shadows);
  });
}

int64_t encode(const LsqRun& run, uint8_t* codes) {
  return move_run<Sink::codes>(run, codes);
}

/// Sixteen values: their gradients in place, their terms added to the lanes.
HWY_INLINE void add_sixteen(const float* values, float* gradients, float step, float qn,
                            float* sums) {
  const hn::CappedTag<float, kGradientLanes> d;
  const auto low = hn::Set(d, -qn), high = hn::Set(d, qn - 1);
  for (int64_t i = 0; i < kGradientLanes; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto t = hn::Div(hn::LoadU(d, values + i), hn::Set(d, step));
    const auto gradient = hn::LoadU(d, gradients + i);
    const auto inside = hn::And(hn::Gt(t, low), hn::Lt(t, high));
    const auto edge = hn::IfThenElse(hn::Gt(t, hn::Zero(d)), high, low);
    // Clamped first, since only small values round by conversion on every target.
    const auto level = hn::Round(hn::Min(hn::Max(t, low), high));
    const auto slope = hn::IfThenElse(inside, hn::Sub(level, t), edge);
    hn::StoreU(hn::IfThenElseZero(inside, gradient), d, gradients + i);
    hn::Store(hn::Add(hn::Load(d, sums + i), hn::Mul(gradient, slope)), d, sums + i);
  }
}

HWY_INLINE float add_block(const float* values, float* gradients, int64_t count, float step,
                           float qn) {
  alignas(64) float sums[kGradientLanes] = {};
  int64_t i = 0;
  for (; i + kGradientLanes <= count; i += kGradientLanes) {
    add_sixteen(values + i, gradients + i, step, qn, sums);
  }
  if (i < count) {  // padded by zeros, whose terms are +0
    float rest[kGradientLanes] = {}, rest_gradients[kGradientLanes] = {};
    std::copy(values + i, values + count, rest);
    std::copy(gradients + i, gradients + count, rest_gradients);
    add_sixteen(rest, rest_gradients, step, qn, sums);
    std::copy(rest_gradients, rest_gradients + (count - i), gradients + i);
  }
  return add_lanes(sums);
}

void gradient(const LsqRun& run, float* gradients, float* step_gradients) {
  const auto qn = static_cast<float>(1 << (run.bits - 1));
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    double sum = 0;
    for (int64_t from = begin, stop = 0; from < end; from = stop) {
      stop = block_end(from, end);
      sum += add_block(run.masters + from, gradients + from, stop - from, run.steps[b], qn);
    }
    step_gradients[b] = static_cast<float>(sum);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(quantize);
HWY_EXPORT(encode);
HWY_EXPORT(gradient);

int64_t quantize_lsq(const LsqRun& run, bool stream, float* shadows) {
  return HWY_DYNAMIC_DISPATCH(quantize)(run, stream, shadows);
}

int64_t encode_lsq(const LsqRun& run, uint8_t* codes) {
  return HWY_DYNAMIC_DISPATCH(encode)(run, codes);
}

void lsq_gradient(const LsqRun& run, float* gradients, float* step_gradients) {
  HWY_DYNAMIC_DISPATCH(gradient)(run, gradients, step_gradients);
}

}  // namespace bitstill
#endif
