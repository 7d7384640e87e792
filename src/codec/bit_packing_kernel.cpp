// The SIMD unpackers; Google Highway compiles this file once for every instruction set and picks
// the best one at run time. All give the bytes of unpack_codes_reference.
#define HWY_WANT_AVX3_DL  // byte permutations and multishift (VBMI)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/codec/bit_packing_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <cstring>

#include "bitstill/codec/bit_packing.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3_DL

/// 64 codes from 8 * bits bytes: each 64-bit lane gets the bytes of its eight codes, and each of
/// its bytes the eight bits from its code's first one on.
std::size_t unpack_groups(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes) {
  alignas(64) uint8_t bytes[64], starts[64];
  for (int i = 0; i < 64; ++i) {
    bytes[i] = static_cast<uint8_t>(i / 8 * bits + i % 8);  // below 64
    starts[i] = static_cast<uint8_t>(i % 8 * bits);
  }
  const __m512i places = _mm512_load_si512(bytes), shifts = _mm512_load_si512(starts);
  const __m512i code = _mm512_set1_epi8(static_cast<char>((1 << bits) - 1));
  const auto used = static_cast<__mmask64>(~uint64_t{0} >> (64 - 8 * bits));
  std::size_t done = 0;
  for (; done + 64 <= count; done += 64, packed += 8 * bits) {
    const __m512i lanes = _mm512_permutexvar_epi8(places, _mm512_maskz_loadu_epi8(used, packed));
    const __m512i moved = _mm512_multishift_epi64_epi8(shifts, lanes);
    _mm512_storeu_si512(codes + done, _mm512_and_si512(moved, code));
  }
  return done;
}

#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

/// For 16 codes from 2 * bits bytes: codes 2k and 2k + 1 each get two bytes in 16-bit lane k, and
/// the power of two that moves them to bits 0 and 8.
struct Moves {
  alignas(16) uint8_t even[16], odd[16];
  alignas(16) uint16_t to_low[8], to_high[8];
  explicit Moves(int bits) {
    for (int k = 0; k < 8; ++k) {
      const int first = 2 * k * bits, second = first + bits;
      // The upper half of a product shifts right by 1 to 15. A code that begins a byte is all in
      // it: there the byte is taken as the lane's upper one.
      const bool whole = first % 8 == 0;
      even[2 * k] = static_cast<uint8_t>(first / 8);
      even[2 * k + 1] = static_cast<uint8_t>(whole ? first / 8 : first / 8 + 1);
      to_low[k] = static_cast<uint16_t>(1 << (whole ? 8 : 16 - first % 8));
      odd[2 * k] = static_cast<uint8_t>(second / 8);
      odd[2 * k + 1] = static_cast<uint8_t>(second / 8 + 1);
      to_high[k] = static_cast<uint16_t>(1 << (8 - second % 8));
    }
  }
};

HWY_INLINE __m256i twice(const void* half) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(static_cast<const __m128i*>(half)));
}

/// 32 codes from 4 * bits bytes while two 16-byte loads stay inside the input.
std::size_t unpack_groups(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes) {
  const Moves moves(bits);
  const __m256i even = twice(moves.even), to_low = twice(moves.to_low);
  const __m256i odd = twice(moves.odd), to_high = twice(moves.to_high);
  const __m256i low = _mm256_set1_epi16(static_cast<short>((1 << bits) - 1));
  const __m256i high = _mm256_slli_epi16(low, 8);
  const auto step = static_cast<std::size_t>(bits) * 4;
  const std::size_t size = packed_bytes(count, bits);
  std::size_t done = 0;
  for (std::size_t at = 0; at + step / 2 + 16 <= size; at += step, done += 32) {
    const auto* first = reinterpret_cast<const __m128i*>(packed + at);
    const auto* second = reinterpret_cast<const __m128i*>(packed + at + step / 2);
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(first)),
                                                 _mm_loadu_si128(second), 1);
    const __m256i at_0 = _mm256_mulhi_epu16(_mm256_shuffle_epi8(both, even), to_low);
    const __m256i at_8 = _mm256_mullo_epi16(_mm256_shuffle_epi8(both, odd), to_high);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + done),
                        _mm256_or_si256(_mm256_and_si256(at_0, low), _mm256_and_si256(at_8, high)));
  }
  return done;
}

#else

std::size_t unpack_groups(const uint8_t*, std::size_t, int, uint8_t*) {
  return 0;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(unpack_groups);

std::size_t unpack_code_groups(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes) {
  return HWY_DYNAMIC_DISPATCH(unpack_groups)(packed, count, bits, codes);
}

}  // namespace bitstill
#endif
