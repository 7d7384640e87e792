// What the SIMD kernels share: the scales of a run's buckets. Included once for every instruction
// set, inside a file that Google Highway compiles for each.
#ifndef BITSTILL_BUCKETS_ONCE
#define BITSTILL_BUCKETS_ONCE

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace bitstill {

struct Scale {
  float alpha, beta;
};

/// Where the moved values of a bucket go.
enum class Sink { shadows, streamed_shadows, codes };

/// alpha = high - low (below 1e-10: 1), beta = low; or the run's given scale of bucket b.
template <class Run>
Scale linear_scale(const Run& run, int64_t b, float low, float high) {
  if (run.alpha != nullptr) return {run.alpha[b], run.beta[b]};
  Scale scale{0, low + 0.0f};  // -0 becomes +0: which zero min() finds depends on the order
  scale.alpha = high - scale.beta;
  if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  return scale;
}

/// Positive, finite, and so are the shadows of the outermost points.
inline bool is_good(Scale scale, float first, float last) {
  return scale.alpha > 0 && std::isfinite(scale.alpha) &&
         std::isfinite(first * scale.alpha + scale.beta) &&
         std::isfinite(last * scale.alpha + scale.beta);
}

}  // namespace bitstill
#endif

#if defined(BITSTILL_BUCKETS_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef BITSTILL_BUCKETS_TARGET
#undef BITSTILL_BUCKETS_TARGET
#else
#define BITSTILL_BUCKETS_TARGET
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The smallest and the largest value of a bucket; false when one is not finite.
HWY_INLINE bool range_of(const float* values, int64_t count, float& low, float& high) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  float sum = 0;  // only finds NaN, which min and max drop
  low = high = values[0];
  if (count >= 2 * lanes) {
    auto low_0 = hn::LoadU(d, values), low_1 = hn::LoadU(d, values + lanes);
    auto high_0 = low_0, high_1 = low_1, sum_0 = low_0, sum_1 = low_1;
    for (i = 2 * lanes; i + 2 * lanes <= count; i += 2 * lanes) {
      const auto v_0 = hn::LoadU(d, values + i), v_1 = hn::LoadU(d, values + i + lanes);
      low_0 = hn::Min(low_0, v_0);
      low_1 = hn::Min(low_1, v_1);
      high_0 = hn::Max(high_0, v_0);
      high_1 = hn::Max(high_1, v_1);
      sum_0 = hn::Add(sum_0, v_0);
      sum_1 = hn::Add(sum_1, v_1);
    }
    low = hn::GetLane(hn::MinOfLanes(d, hn::Min(low_0, low_1)));
    high = hn::GetLane(hn::MaxOfLanes(d, hn::Max(high_0, high_1)));
    sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum_0, sum_1)));
  }
  for (; i < count; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
    sum += values[i];
  }
  if (std::isfinite(sum)) return true;  // finite values' sum may overflow as well
  return std::all_of(values, values + count, [](float v) { return std::isfinite(v); });
}

/// Calls move(b, begin, count, scale) for every bucket b, with scale = scale_of(b, low, high); the
/// index of the first bad bucket, or -1. `first`, `last`: the outermost points.
template <class Run, class ScaleOf, class Move>
HWY_INLINE int64_t for_each_bucket(const Run& run, float first, float last, const ScaleOf& scale_of,
                                   const Move& move) {
  const auto size = [&](int64_t begin) { return std::min(run.bucket, run.count - begin); };
  Scale next{};
  const auto find = [&](int64_t b, int64_t begin) HWY_ATTR {
    float low = 0, high = 0;
    if (!range_of(run.masters + begin, size(begin), low, high)) return false;
    next = scale_of(b, low, high);
    return is_good(next, first, last);
  };
  bool good = run.count == 0 || find(0, 0);
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    if (!good) return b;
    const Scale scale = next;
    // Found one bucket ahead, so its latency hides behind the moving of this one's values.
    if (begin + run.bucket < run.count) good = find(b + 1, begin + run.bucket);
    move(b, begin, size(begin), scale);
  }
  return -1;
}

/// The last values of a bucket, fewer than a vector: move(values, out) on a whole, padded one.
template <class T, class Move>
HWY_INLINE void move_rest(const float* values, int64_t count, T* out, const Move& move) {
  if constexpr (HWY_TARGET != HWY_SCALAR) {  // else all vectors are whole
    if (count <= 0) return;
    float rest[HWY_MAX_BYTES / sizeof(float)] = {};
    T moved[HWY_MAX_BYTES / sizeof(float)];
    std::copy_n(values, count, rest);
    move(rest, moved);
    std::copy_n(moved, count, out);
  }
}

/// Writes by `write`(streamed) and waits for streaming stores; these want whole, aligned vectors.
template <class Write>
HWY_INLINE int64_t write_shadows(const float* shadows, int64_t bucket, bool stream,
                                 const Write& write) {
  const hn::ScalableTag<float> d;
  const size_t bytes = hn::Lanes(d) * sizeof(float);
  const bool aligned = reinterpret_cast<uintptr_t>(shadows) % bytes == 0 &&
                       static_cast<size_t>(bucket) % hn::Lanes(d) == 0;
  if (!stream || !aligned) return write(std::false_type());
  const int64_t bad = write(std::true_type());
  hwy::FlushStream();  // before another thread reads them
  return bad;
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();
#endif
