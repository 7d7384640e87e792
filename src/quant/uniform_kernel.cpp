// SIMD kernels of the uniform quantizer; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
//
// Contents: points, scale of a bucket, Philox, moving values to points, decoding, dispatch.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/quant/uniform_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/uniform_kernel.hpp"

#ifndef BITSTILL_UNIFORM_KERNEL_ONCE
#define BITSTILL_UNIFORM_KERNEL_ONCE
namespace bitstill {

/// p_j = fl32(j / (s-1)) without a division: j high is exact (8 + 16 bits), so the sum
/// fl32(j high + j low) is the only rounding that matters. The tests compare all codes of all bits.
struct UniformPoints {
  explicit UniformPoints(int bits) : last(static_cast<float>((1 << bits) - 1)) {
    const double step = 1.0 / last;
    const double unit = std::exp2(bits + 15);  // step >= 2^-bits keeps 16 significant bits
    high = static_cast<float>(std::floor(step * unit) / unit);
    low = static_cast<float>(step - high);
  }
  float last, high = 0, low = 0;  // s - 1; step = high + low
};

struct Scale {
  float alpha, beta;
};

/// Where the moved values of a bucket go.
enum class Sink { shadows, streamed_shadows, codes };

/// t + kMagic has the integer nearest to t, ties to even, in its lowest bits (|t| < 2^22).
constexpr float kMagic = 12582912.0f;
constexpr int64_t kRandomChunk = 256;  // numbers made at a time; a multiple of 4

}  // namespace bitstill
#endif

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// False when the bucket is not finite or its range overflows.
HWY_INLINE bool scale_of(const float* values, int64_t count, Scale& scale) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  float low = values[0], high = low, sum = 0;  // the sum only finds NaN, which min and max drop
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
  scale.beta = low + 0.0f;  // -0 becomes +0: which zero min() finds depends on the order
  scale.alpha = high - scale.beta;
  if (!std::isfinite(sum) || !std::isfinite(scale.alpha)) {  // a finite sum may overflow as well
    const bool finite =
        std::all_of(values, values + count, [](float v) { return std::isfinite(v); });
    if (!finite || !std::isfinite(scale.alpha)) return false;
  }
  if (scale.alpha < 1e-10f) scale.alpha = 1.0f;
  return true;
}

#if HWY_TARGET == HWY_SCALAR
/// Philox blocks `block` and on: four numbers each, at least `blocks` of them.
HWY_INLINE void fill_random(const UniformRun& run, uint64_t block, int64_t blocks,
                            uint32_t* words) {
  for (int64_t b = 0; b < blocks; ++b, ++block) {
    const auto four =
        philox({static_cast<uint32_t>(block), static_cast<uint32_t>(run.step),
                static_cast<uint32_t>(run.step >> 32), static_cast<uint32_t>(block >> 32)},
               run.key);
    std::copy(four.begin(), four.end(), words + 4 * b);
  }
}
#else
/// The high and low words of each 64-bit product value * factor.
template <class D, class V>
HWY_INLINE void multiply(D d, V value, uint32_t factor, V& high, V& low) {
  const hn::RepartitionToWide<D> wide;
  const auto f = hn::Set(d, factor);
  const auto even = hn::MulEven(value, f);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, value))), f);
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
  low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
}

/// Philox blocks `block` and on: four numbers each, at least `blocks` of them. The low word of the
/// block numbers must not overflow on the way.
HWY_INLINE void fill_random(const UniformRun& run, uint64_t block, int64_t blocks,
                            uint32_t* words) {
  const hn::ScalableTag<uint32_t> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t b = 0; b < blocks; b += lanes) {
    auto c_0 = hn::Iota(d, static_cast<uint32_t>(block) + static_cast<uint32_t>(b));
    auto c_1 = hn::Set(d, static_cast<uint32_t>(run.step));
    auto c_2 = hn::Set(d, static_cast<uint32_t>(run.step >> 32));
    auto c_3 = hn::Set(d, static_cast<uint32_t>(block >> 32));
    uint32_t key_0 = run.key[0], key_1 = run.key[1];
    for (int round = 0; round < 10; ++round) {
      auto first_high = c_0, first_low = c_0, second_high = c_0, second_low = c_0;
      multiply(d, c_0, 0xD2511F53, first_high, first_low);
      multiply(d, c_2, 0xCD9E8D57, second_high, second_low);
      c_0 = hn::Xor(hn::Xor(second_high, c_1), hn::Set(d, key_0));
      c_1 = second_low;
      c_2 = hn::Xor(hn::Xor(first_high, c_3), hn::Set(d, key_1));
      c_3 = first_low;
      key_0 += 0x9E3779B9;
      key_1 += 0xBB67AE85;
    }
    hn::StoreInterleaved4(c_0, c_1, c_2, c_3, d, words + 4 * b);
  }
}
#endif

/// The scaled values' codes as floats plus kMagic.
template <bool kStochastic, class D, class V>
HWY_INLINE V round_scaled(D d, V scaled, const uint32_t* words) {
  const auto magic = hn::Set(d, kMagic);
  if constexpr (kStochastic) {
    const hn::RebindToSigned<D> di;
    const hn::RebindToUnsigned<D> du;
    const auto low = hn::ConvertTo(d, hn::ConvertTo(di, scaled));  // scaled >= 0: the floor
    const auto bits = hn::ShiftRight<8>(hn::LoadU(du, words));
    const auto number = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, bits)), hn::Set(d, 0x1p-24f));
    const auto up = hn::IfThenElseZero(hn::Lt(number, hn::Sub(scaled, low)), hn::Set(d, 1.0f));
    return hn::Add(hn::Add(low, up), magic);
  } else {
    return hn::Add(scaled, magic);
  }
}

/// Moves whole vectors of a bucket to their points, from value `begin`; where it stopped.
template <bool kStochastic, Sink kSink, class D, class T>
HWY_INLINE int64_t move_vectors(D d, const float* values, int64_t begin, int64_t count,
                                const uint32_t* words, Scale scale, const UniformPoints& points,
                                T* out) {
  const auto alpha = hn::Set(d, scale.alpha), beta = hn::Set(d, scale.beta);
  const auto last = hn::Set(d, points.last), magic = hn::Set(d, kMagic);
  const auto high = hn::Set(d, points.high), low = hn::Set(d, points.low);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::Div(hn::Sub(hn::LoadU(d, values + i), beta), alpha);
    const auto biased = round_scaled<kStochastic>(d, hn::Mul(x, last), words + i);
    if constexpr (kSink == Sink::codes) {
      const hn::RebindToSigned<D> di;
      const hn::Rebind<uint8_t, D> d8;
      const auto code = hn::And(hn::BitCast(di, biased), hn::Set(di, 0xFF));
      hn::StoreU(hn::DemoteTo(d8, code), d8, out + i);
    } else {
      const auto code = hn::Sub(biased, magic);
      const auto point = hn::Add(hn::Mul(code, high), hn::Mul(code, low));
      const auto shadow = hn::Add(hn::Mul(point, alpha), beta);
      if constexpr (kSink == Sink::streamed_shadows) {
        hn::Stream(shadow, d, out + i);
      } else {
        hn::StoreU(shadow, d, out + i);
      }
    }
  }
  return i;
}

template <bool kStochastic, Sink kSink, class T>
HWY_INLINE void move_values(const float* values, int64_t count, const uint32_t* words, Scale scale,
                            const UniformPoints& points, T* out) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const int64_t done =
      move_vectors<kStochastic, kSink>(d, values, 0, count, words, scale, points, out);
  constexpr Sink kTail = kSink == Sink::codes ? kSink : Sink::shadows;
  move_vectors<kStochastic, kTail>(one, values, done, count, words, scale, points, out);
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
    fill_random(run, block, static_cast<int64_t>(end - block), words);
    move_values<true, kSink>(run.masters + i, size, words + first % 4, scale, points, out + i);
  }
}

/// All buckets of a run; keep(b, scale) is called once for each.
template <Sink kSink, class T, class Keep>
HWY_INLINE int64_t move_run(const UniformRun& run, T* out, const Keep& keep) {
  const UniformPoints points(run.bits);
  const auto size = [&](int64_t begin) { return std::min(run.bucket, run.count - begin); };
  Scale scale{}, next{};
  bool finite = run.count == 0 || scale_of(run.masters, size(0), next);
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    if (!finite) return b;
    scale = next;
    // Reduced one bucket ahead, so its latency hides behind the moving of this one's values.
    const int64_t after = begin + run.bucket;
    if (after < run.count) finite = scale_of(run.masters + after, size(after), next);
    keep(b, scale);
    if (run.stochastic) {
      constexpr Sink kCached = kSink == Sink::codes ? kSink : Sink::shadows;
      move_randomly<kCached>(run, begin, size(begin), scale, points, out);
    } else {
      move_values<false, kSink>(run.masters + begin, size(begin), nullptr, scale, points,
                                out + begin);
    }
  }
  return -1;
}

int64_t quantize(const UniformRun& run, bool stream, float* shadows) {
  const hn::ScalableTag<float> d;
  const auto ignore = [](int64_t, Scale) {};
  const size_t bytes = hn::Lanes(d) * sizeof(float);
  const bool aligned = reinterpret_cast<uintptr_t>(shadows) % bytes == 0 &&
                       static_cast<size_t>(run.bucket) % hn::Lanes(d) == 0;
  if (!stream || !aligned) return move_run<Sink::shadows>(run, shadows, ignore);
  const int64_t bad = move_run<Sink::streamed_shadows>(run, shadows, ignore);
  hwy::FlushStream();  // before another thread reads them
  return bad;
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
