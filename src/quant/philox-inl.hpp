// The random numbers of base/random.hpp, a vector of Philox blocks at once. Included once for every
// instruction set, inside a file that Google Highway compiles for each.
#if defined(BITSTILL_PHILOX_TARGET) == defined(HWY_TARGET_TOGGLE)
#ifdef BITSTILL_PHILOX_TARGET
#undef BITSTILL_PHILOX_TARGET
#else
#define BITSTILL_PHILOX_TARGET
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "bitstill/base/random.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using PhiloxKey = std::array<uint32_t, 2>;

#if HWY_TARGET == HWY_SCALAR
/// Philox blocks `block` and on of the stream (key, a): four numbers each, at least `blocks` of
/// them.
HWY_INLINE void fill_random(const PhiloxKey& key, uint64_t a, uint64_t block, int64_t blocks,
                            uint32_t* words) {
  for (int64_t b = 0; b < blocks; ++b, ++block) {
    const auto four = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(a),
                              static_cast<uint32_t>(a >> 32), static_cast<uint32_t>(block >> 32)},
                             key);
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

/// Philox blocks `block` and on of the stream (key, a): four numbers each, at least `blocks` of
/// them, in whole vectors. The low word of the block numbers must not overflow on the way.
HWY_INLINE void fill_random(const PhiloxKey& key, uint64_t a, uint64_t block, int64_t blocks,
                            uint32_t* words) {
  const hn::ScalableTag<uint32_t> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t b = 0; b < blocks; b += lanes) {
    auto c_0 = hn::Iota(d, static_cast<uint32_t>(block) + static_cast<uint32_t>(b));
    auto c_1 = hn::Set(d, static_cast<uint32_t>(a));
    auto c_2 = hn::Set(d, static_cast<uint32_t>(a >> 32));
    auto c_3 = hn::Set(d, static_cast<uint32_t>(block >> 32));
    uint32_t key_0 = key[0], key_1 = key[1];
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

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();
#endif
