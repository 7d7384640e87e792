// SIMD kernels of the gradients' codes; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/quant/gradient_codes_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "gradient_codes.hpp"
#include "philox-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;  // half a group is a whole number of vectors
using Ints = hn::RebindToSigned<Floats>;

/// The greatest magnitude as bits, which order as the numbers do: NaNs above infinities above the
/// rest.
HWY_INLINE int32_t greatest_bits(const float* values, int64_t count) {
  const Floats d;
  const Ints di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto bits = [&](int64_t i)
                        HWY_ATTR { return hn::BitCast(di, hn::Abs(hn::LoadU(d, values + i))); };
  auto most_0 = hn::Zero(di), most_1 = most_0;
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    most_0 = hn::Max(most_0, bits(i));
    most_1 = hn::Max(most_1, bits(i + lanes));
  }
  int32_t most = hn::GetLane(hn::MaxOfLanes(di, hn::Max(most_0, most_1)));
  for (; i < count; ++i) most = std::max(most, std::bit_cast<int32_t>(values[i]) & 0x7FFFFFFF);
  return most;
}

/// NaN where a value is not finite, 0 where all are next to nothing.
HWY_INLINE float unit_of(const float* values, int64_t count) {
  const int32_t bits = greatest_bits(values, count);
  if (bits >= 0x7F800000) return std::numeric_limits<float>::quiet_NaN();
  const float unit = std::bit_cast<float>(bits) / 7;
  return unit < std::numeric_limits<float>::min() ? 0 : unit;
}

HWY_INLINE hn::Vec<Ints> codes_of(const float* values, const uint32_t* words,
                                  hn::Vec<Floats> inverse) {
  const Floats d;
  const Ints di;
  const hn::RebindToUnsigned<Floats> du;
  const auto t = hn::Add(hn::Mul(hn::LoadU(d, values), inverse), hn::Set(d, 8.0f));
  const auto clamped = hn::Min(hn::Max(t, hn::Set(d, 1.0f)), hn::Set(d, 15.0f));
  const auto bits = hn::BitCast(di, hn::ShiftRight<12>(hn::LoadU(du, words)));
  const auto u = hn::Mul(hn::ConvertTo(d, bits), hn::Set(d, 0x1p-20f));
  return hn::ConvertTo(di, hn::Add(clamped, u));
}

HWY_INLINE void encode_group(const float* values, const uint32_t* words, hn::Vec<Floats> inverse,
                             uint8_t* codes) {
  const hn::Rebind<uint8_t, Floats> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int64_t k = 0; k < kGroupBytes; k += lanes) {
    const auto low = codes_of(values + k, words + k, inverse);
    const auto high = codes_of(values + kGroupBytes + k, words + kGroupBytes + k, inverse);
    hn::StoreU(hn::DemoteTo(d8, hn::Or(low, hn::ShiftLeft<4>(high))), d8, codes + k);
  }
}

HWY_INLINE void encode_bucket(const float* values, int64_t count, const RoundingStream& stream,
                              uint64_t first, float unit, uint8_t* codes) {
  uint32_t words[kGradientBucket + HWY_MAX_BYTES];  // the last vector of blocks may run over
  fill_random(stream.key, stream.a, first / 4, (count + 3) / 4, words);
  const auto inverse = hn::Set(Floats(), 1 / unit);
  int64_t i = 0;
  for (; i + kGradientGroup <= count; i += kGradientGroup, codes += kGroupBytes) {
    encode_group(values + i, words + i, inverse, codes);
  }
  if (i == count) return;
  float rest[kGradientGroup] = {};
  uint32_t none[kGradientGroup] = {};
  std::copy_n(values + i, count - i, rest);
  std::copy_n(words + i, count - i, none);
  encode_group(rest, none, inverse, codes);
}

void encode(const float* values, int64_t count, const RoundingStream& stream, uint8_t* coded) {
  uint8_t* codes = coded + gradient_buckets(count) * 4;
  for (int64_t begin = 0; begin < count; begin += kGradientBucket, coded += 4) {
    const int64_t size = std::min(kGradientBucket, count - begin);
    const float unit = unit_of(values + begin, size);
    std::memcpy(coded, &unit, 4);
    if (unit > 0) {
      encode_bucket(values + begin, size, stream, stream.first + static_cast<uint64_t>(begin), unit,
                    codes);
    } else {
      std::fill_n(codes, gradient_groups(size) * kGroupBytes, kTwoZeros);
    }
    codes += kGradientBucket / 2;
  }
}

/// Where values go: over others, or onto them.
enum class Arrival { stored, added };

template <Arrival kArrival>
HWY_INLINE void decode_group(const uint8_t* codes, hn::Vec<Floats> unit, float* out) {
  const Floats d;
  const Ints di;
  const hn::Rebind<uint8_t, Floats> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto arrive = [&](hn::Vec<Ints> code, float* to) HWY_ATTR {
    auto value = hn::Mul(hn::ConvertTo(d, hn::Sub(code, hn::Set(di, 8))), unit);
    if constexpr (kArrival == Arrival::added) value = hn::Add(hn::LoadU(d, to), value);
    hn::StoreU(value, d, to);
  };
  for (int64_t k = 0; k < kGroupBytes; k += lanes) {
    const auto two = hn::PromoteTo(di, hn::LoadU(d8, codes + k));
    arrive(hn::And(two, hn::Set(di, 15)), out + k);
    arrive(hn::ShiftRight<4>(two), out + kGroupBytes + k);
  }
}

template <Arrival kArrival>
HWY_INLINE void decode_all(const uint8_t* coded, int64_t count, float* out) {
  const uint8_t* codes = coded + gradient_buckets(count) * 4;
  for (int64_t i = 0; i < count; i += kGradientGroup, codes += kGroupBytes) {
    float unit_value = 0;
    std::memcpy(&unit_value, coded + i / kGradientBucket * 4, 4);
    const auto unit = hn::Set(Floats(), unit_value);
    if (i + kGradientGroup <= count) {
      decode_group<kArrival>(codes, unit, out + i);
      continue;
    }
    float rest[kGradientGroup] = {};
    std::copy_n(out + i, count - i, rest);
    decode_group<kArrival>(codes, unit, rest);
    std::copy_n(rest, count - i, out + i);
  }
}

void decode(const uint8_t* coded, int64_t count, float* values) {
  decode_all<Arrival::stored>(coded, count, values);
}

void add(const uint8_t* coded, int64_t count, float* sums) {
  decode_all<Arrival::added>(coded, count, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(encode);
HWY_EXPORT(decode);
HWY_EXPORT(add);

int64_t gradient_code_bytes(int64_t count) {
  return gradient_buckets(count) * 4 + gradient_groups(count) * kGroupBytes;
}

void encode_gradients(const float* values, int64_t count, const RoundingStream& stream,
                      uint8_t* coded) {
  HWY_DYNAMIC_DISPATCH(encode)(values, count, stream, coded);
}

void decode_gradients(const uint8_t* coded, int64_t count, float* values) {
  HWY_DYNAMIC_DISPATCH(decode)(coded, count, values);
}

void add_gradients(const uint8_t* coded, int64_t count, float* sums) {
  HWY_DYNAMIC_DISPATCH(add)(coded, count, sums);
}

}  // namespace bitstill
#endif
