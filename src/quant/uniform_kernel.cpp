// SIMD kernels of the uniform quantizer; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
//
// Contents: points, moving values to points, decoding, dispatch.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/quant/uniform_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "bitstill/quant/uniform_kernel.hpp"
#include "buckets-inl.hpp"
#include "philox-inl.hpp"

#ifndef BITSTILL_UNIFORM_KERNEL_ONCE
#define BITSTILL_UNIFORM_KERNEL_ONCE
namespace bitstill {

/// p_j = fl32(j / (s-1)) without a division: j high is exact (8 + 16 bits), so the sum
/// fl32(j high + j low) is the only rounding that matters. The tests compare all codes of all s.
struct UniformPoints {
  explicit UniformPoints(int points) : last(static_cast<float>(points - 1)) {
    const double step = 1.0 / last;
    const int bits = std::bit_width(static_cast<unsigned>(points - 1));
    const double unit = std::exp2(bits + 15);  // step >= 2^-bits keeps 16 significant bits
    high = static_cast<float>(std::floor(step * unit) / unit);
    low = static_cast<float>(step - high);
    for (int j = 0; j < 16; ++j) first[j] = static_cast<float>(j) / last;
  }
  float last, high = 0, low = 0;  // s - 1; step = high + low
  alignas(64) float first[16];    // p_0 .. p_15
};

/// t + kMagic has the integer nearest to t, ties to even, in its lowest bits (|t| < 2^22).
constexpr float kMagic = 12582912.0f;
constexpr int64_t kRandomChunk = 256;  // numbers made at a time; a multiple of 4

}  // namespace bitstill
#endif

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How x (s-1) becomes a code. With its own scale a bucket's x lies in [0, 1], since rounding keeps
/// beta <= v <= max in order; so does x (s-1) in [0, s-1]. With given scales it is clamped.
enum class Rounding { nearest, nearest_clamped, stochastic };

/// The scaled values' codes as floats; kBits: plus kMagic.
template <Rounding kRounding, bool kBits, class D, class V>
HWY_INLINE V round_scaled(D d, V scaled, V last, const uint32_t* words) {
  const auto magic = hn::Set(d, kMagic);
  if constexpr (kRounding != Rounding::nearest) {
    scaled = hn::Min(hn::Max(scaled, hn::Zero(d)), last);
  }
  if constexpr (kRounding != Rounding::stochastic) {
    if constexpr (kBits) return hn::Add(scaled, magic);
    return hn::Round(scaled);
  }
  const hn::RebindToSigned<D> di;
  const hn::RebindToUnsigned<D> du;
  const auto low = hn::ConvertTo(d, hn::ConvertTo(di, scaled));  // scaled >= 0: the floor
  const auto bits = hn::ShiftRight<8>(hn::LoadU(du, words));
  const auto number = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, bits)), hn::Set(d, 0x1p-24f));
  const auto up = hn::IfThenElseZero(hn::Lt(number, hn::Sub(scaled, low)), hn::Set(d, 1.0f));
  const auto code = hn::Add(low, up);
  if constexpr (kBits) return hn::Add(code, magic);
  return code;
}

/// Moves whole vectors of a bucket to their points, from value `begin`; where it stopped. kTable:
/// at most sixteen points, whose shadows are one vector.
template <Rounding kRounding, Sink kSink, bool kTable, class D, class T>
HWY_INLINE int64_t move_whole(D d, const float* values, int64_t begin, int64_t count,
                              const uint32_t* words, Scale scale, const UniformPoints& points,
                              T* out) {
  using V = hn::Vec<D>;
  const hn::RebindToSigned<D> di;
  const auto alpha = hn::Set(d, scale.alpha), beta = hn::Set(d, scale.beta);
  const auto last = hn::Set(d, points.last);
  const auto scaled = [&](V v, int64_t)
                          HWY_ATTR { return hn::Mul(hn::Div(hn::Sub(v, beta), alpha), last); };
  constexpr bool kBits = kTable || kSink == Sink::codes;
  const auto rounded = [&](V v, int64_t i) HWY_ATTR {
    return round_scaled<kRounding, kBits>(d, v, last, words + i);
  };
  if constexpr (kSink == Sink::codes) {
    const hn::Rebind<uint8_t, D> d8;
    const auto store = [&](V v, int64_t i) HWY_ATTR {
      const auto code = hn::And(hn::BitCast(di, v), hn::Set(di, 0xFF));
      hn::StoreU(hn::DemoteTo(d8, code), d8, out + i);
    };
    return move_vectors(d, values, begin, count, store, scaled, rounded);
  } else {
    const auto store = [&](V v, int64_t i) HWY_ATTR { store_shadows<kSink>(d, v, out + i); };
    if constexpr (kTable) {
      const auto table = hn::Add(hn::Mul(hn::Load(d, points.first), alpha), beta);
      const auto shadow = [&](V v, int64_t) HWY_ATTR {
        const auto code = hn::And(hn::BitCast(di, v), hn::Set(di, 0xF));
        return hn::TableLookupLanes(table, hn::IndicesFromVec(d, code));
      };
      return move_vectors(d, values, begin, count, store, scaled, rounded, shadow);
    } else {
      const auto high = hn::Set(d, points.high), low = hn::Set(d, points.low);
      const auto point = [&](V code, int64_t) HWY_ATTR {
        return hn::MulAdd(code, high, hn::Mul(code, low));  // code high is exact: one rounding
      };
      const auto shadow = [&](V v, int64_t) HWY_ATTR { return hn::Add(hn::Mul(v, alpha), beta); };
      return move_vectors(d, values, begin, count, store, scaled, rounded, point, shadow);
    }
  }
}

template <Rounding kRounding, Sink kSink, class T>
HWY_INLINE void move_values(const float* values, int64_t count, const uint32_t* words, Scale scale,
                            const UniformPoints& points, T* out) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  int64_t done = 0;
  if (holds_sixteen<decltype(d)>() && points.last < 16) {
    constexpr bool kTable = holds_sixteen<decltype(d)>();
    done = move_whole<kRounding, kSink, kTable>(d, values, 0, count, words, scale, points, out);
  } else {
    done = move_whole<kRounding, kSink, false>(d, values, 0, count, words, scale, points, out);
  }
  constexpr Sink kTail = kSink == Sink::codes ? kSink : Sink::shadows;
  move_whole<kRounding, kTail, false>(one, values, done, count, words, scale, points, out);
}

/// One bucket by stochastic rounding: chunks that end where the flat index is a multiple of
/// kRandomChunk, so a chunk's block numbers differ in their low word only.
template <Sink kSink, class T>
HWY_INLINE void move_randomly(const UniformRun& run, int64_t begin, int64_t count, Scale scale,
                              const UniformPoints& points, T* out) {
  uint32_t words[kRandomChunk + HWY_MAX_BYTES];  // the last vector of blocks may run over
  for (int64_t i = begin, size = 0; i < begin + count; i += size) {
    const uint64_t first = run.first + static_cast<uint64_t>(i);
    size = std::min(kRandomChunk - static_cast<int64_t>(first % kRandomChunk), begin + count - i);
    const uint64_t block = first / 4, end = (first + static_cast<uint64_t>(size) + 3) / 4;
    fill_random(run.key, run.step, block, static_cast<int64_t>(end - block), words);
    move_values<Rounding::stochastic, kSink>(run.masters + i, size, words + first % 4, scale,
                                             points, out + i);
  }
}

/// All buckets of a run; keep(b, scale) is called once for each.
template <Sink kSink, class T, class Keep>
HWY_INLINE int64_t move_run(const UniformRun& run, T* out, const Keep& keep) {
  const UniformPoints points(run.points);
  const auto scale_of = [&](int64_t b, Extent extent) { return linear_scale(run, b, extent); };
  const auto move = [&](int64_t b, int64_t begin, int64_t count, Scale scale) HWY_ATTR {
    keep(b, scale);
    const float* const values = run.masters + begin;
    if (run.stochastic) {
      constexpr Sink kCached = kSink == Sink::codes ? kSink : Sink::shadows;
      move_randomly<kCached>(run, begin, count, scale, points, out);
    } else if (run.alpha != nullptr) {
      move_values<Rounding::nearest_clamped, kSink>(values, count, nullptr, scale, points,
                                                    out + begin);
    } else {
      move_values<Rounding::nearest, kSink>(values, count, nullptr, scale, points, out + begin);
    }
  };
  return for_each_bucket(run, 0, 1, scale_of, move);
}

int64_t quantize(const UniformRun& run, bool stream, float* shadows) {
  const auto ignore = [](int64_t, Scale) {};
  return write_shadows(shadows, run.bucket, stream, [&](auto streamed) HWY_ATTR {
    constexpr Sink kSink = streamed ? Sink::streamed_shadows : Sink::shadows;
    return move_run<kSink>(run, shadows, ignore);
  });
}

int64_t encode(const UniformRun& run, uint8_t* codes, float* alpha, float* beta) {
  return move_run<Sink::codes>(run, codes, [&](int64_t b, Scale scale) {
    alpha[b] = scale.alpha;
    beta[b] = scale.beta;
  });
}

template <class D>
HWY_INLINE int64_t decode_vectors(D d, const CodedRun& run, int64_t begin, int64_t end, Scale scale,
                                  float* out) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint8_t, D> d8;
  const auto alpha = hn::Set(d, scale.alpha), beta = hn::Set(d, scale.beta);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const auto code = hn::PromoteTo(di, hn::LoadU(d8, run.codes + i));
    const auto point = hn::GatherIndex(d, run.points, code);
    hn::StoreU(hn::Add(hn::Mul(point, alpha), beta), d, out + i);
  }
  return i;
}

void decode(const CodedRun& run, float* out) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    const Scale scale{run.alpha[b], run.beta[b]};
    const int64_t done = decode_vectors(d, run, begin, end, scale, out);
    decode_vectors(one, run, done, end, scale, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(quantize);
HWY_EXPORT(encode);
HWY_EXPORT(decode);

int64_t quantize_uniform(const UniformRun& run, bool stream, float* shadows) {
  return HWY_DYNAMIC_DISPATCH(quantize)(run, stream, shadows);
}

int64_t encode_uniform(const UniformRun& run, uint8_t* codes, float* alpha, float* beta) {
  return HWY_DYNAMIC_DISPATCH(encode)(run, codes, alpha, beta);
}

void decode_run(const CodedRun& run, float* out) {
  HWY_DYNAMIC_DISPATCH(decode)(run, out);
}

}  // namespace bitstill
#endif
