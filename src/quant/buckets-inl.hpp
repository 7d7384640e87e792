// What the SIMD kernels share: the scales of a run's buckets, and moving whole vectors by steps.
// Included once for every instruction set, inside a file that Google Highway compiles for each.
#ifndef BITSTILL_BUCKETS_ONCE
#define BITSTILL_BUCKETS_ONCE

#include <hwy/base.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bitstill {

struct Scale {
  float alpha, beta;
};

/// Where the moved values of a bucket go.
enum class Sink { shadows, streamed_shadows, codes };

/// A bucket's smallest and largest value.
struct Extent {
  float low, high;
};

/// alpha = high - low (below 1e-10: 1), beta = low; or the run's given scale of bucket b.
template <class Run>
Scale linear_scale(const Run& run, int64_t b, Extent extent) {
  if (run.alpha != nullptr) return {run.alpha[b], run.beta[b]};
  Scale scale{0, extent.low + 0.0f};  // -0 becomes +0: which zero min() finds depends on the order
  scale.alpha = extent.high - scale.beta;
  if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  return scale;
}

/// Seldom called, so kept out of the kernels' loops.
HWY_NOINLINE inline bool all_finite(const float* values, int64_t count) {
  return std::all_of(values, values + count, [](float v) { return std::isfinite(v); });
}

/// The extent, the scale and the shadows of the outermost points are finite, the scale is positive.
inline bool is_good(Extent extent, Scale scale, float first, float last) {
  const auto none = [](float v) { return v - v; };  // 0 if finite, else NaN; quicker than isfinite
  const float sum = none(extent.low) + none(extent.high) + none(scale.alpha) +
                    none(first * scale.alpha + scale.beta) + none(last * scale.alpha + scale.beta);
  return (sum == 0) & (scale.alpha > 0);
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

/// Whether sixteen floats are one vector, which then is a table with sixteen entries.
template <class D>
constexpr bool holds_sixteen() {
#if HWY_HAVE_SCALABLE
  return false;
#else
  return hn::MaxLanes(D()) == 16;
#endif
}

/// How many values further memory is asked for: 8 KB, which gained a tenth on 64 MB.
constexpr int64_t kAhead = 2048;

/// The extent of a bucket; not finite when a value is not.
HWY_INLINE Extent extent_of(const float* values, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  bool sure = true;  // that no value is NaN, which min and max drop but a sum keeps
  Extent extent{values[0], values[0]};
  if (count >= 2 * lanes) {
    auto low_0 = hn::LoadU(d, values), low_1 = hn::LoadU(d, values + lanes);
    auto high_0 = low_0, high_1 = low_1, sum_0 = low_0, sum_1 = low_1;
    for (i = 2 * lanes; i + 2 * lanes <= count; i += 2 * lanes) {
      const auto v_0 = hn::LoadU(d, values + i), v_1 = hn::LoadU(d, values + i + lanes);
      hwy::Prefetch(values + i + kAhead);  // past the end it does nothing
      hwy::Prefetch(values + i + lanes + kAhead);
      low_0 = hn::Min(low_0, v_0);
      low_1 = hn::Min(low_1, v_1);
      high_0 = hn::Max(high_0, v_0);
      high_1 = hn::Max(high_1, v_1);
      sum_0 = hn::Add(sum_0, v_0);
      sum_1 = hn::Add(sum_1, v_1);
    }
    extent.low = hn::GetLane(hn::MinOfLanes(d, hn::Min(low_0, low_1)));
    extent.high = hn::GetLane(hn::MaxOfLanes(d, hn::Max(high_0, high_1)));
    const auto sum = hn::Add(sum_0, sum_1);
    sure = hn::AllTrue(d, hn::Eq(sum, sum));
  }
  for (; i < count; ++i) {
    extent.low = std::min(extent.low, values[i]);
    extent.high = std::max(extent.high, values[i]);
    sure = sure && values[i] == values[i];
  }
  // Sums of finite values may overflow to infinities of both signs, whose sum is no number either.
  if (!sure && !all_finite(values, count)) extent.low = std::numeric_limits<float>::quiet_NaN();
  return extent;
}

/// Calls move(b, begin, count, scale) for every bucket b, with scale = scale_of(b, extent); the
/// index of the first bad bucket, or -1. `first`, `last`: the outermost points.
template <class Run, class ScaleOf, class Move>
HWY_INLINE int64_t for_each_bucket(const Run& run, float first, float last, const ScaleOf& scale_of,
                                   const Move& move) {
  const auto size = [&](int64_t begin) { return std::min(run.bucket, run.count - begin); };
  Scale before{};
  // A scale is found one bucket ahead, so its latency hides behind the moving of values.
  for (int64_t b = 0, begin = 0;; ++b, begin += run.bucket) {
    const bool more = begin < run.count;
    Scale scale{};
    bool good = false;
    if (more) {
      const Extent extent = extent_of(run.masters + begin, size(begin));
      scale = scale_of(b, extent);
      good = is_good(extent, scale, first, last);
    }
    if (b > 0) move(b - 1, begin - run.bucket, size(begin - run.bucket), before);
    if (!good) return more ? b : -1;
    before = scale;
  }
}

/// Calls store(v, i) for the whole vectors of values [begin, count), v changed by v = step(v, i),
/// one step after the other; where it stopped. Four vectors take each step together, since the
/// latencies of one alone leave the processor idle.
template <class D, class Store, class... Steps>
HWY_INLINE int64_t move_vectors(D d, const float* values, int64_t begin, int64_t count,
                                const Store& store, const Steps&... steps) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const int64_t i_1 = i + lanes, i_2 = i + 2 * lanes, i_3 = i + 3 * lanes;
    auto v_0 = hn::LoadU(d, values + i), v_1 = hn::LoadU(d, values + i_1);
    auto v_2 = hn::LoadU(d, values + i_2), v_3 = hn::LoadU(d, values + i_3);
    const auto take = [&](const auto& step) HWY_ATTR {
      v_0 = step(v_0, i);
      v_1 = step(v_1, i_1);
      v_2 = step(v_2, i_2);
      v_3 = step(v_3, i_3);
    };
    (take(steps), ...);
    store(v_0, i);
    store(v_1, i_1);
    store(v_2, i_2);
    store(v_3, i_3);
  }
  for (; i + lanes <= count; i += lanes) {
    auto v = hn::LoadU(d, values + i);
    ((v = steps(v, i)), ...);
    store(v, i);
  }
  return i;
}

/// Writes a vector of shadows.
template <Sink kSink, class D>
HWY_INLINE void store_shadows(D d, hn::Vec<D> shadows, float* out) {
  if constexpr (kSink == Sink::streamed_shadows) {
    hn::Stream(shadows, d, out);
  } else {
    hn::StoreU(shadows, d, out);
  }
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
