// Eight codes of b bits are b bytes, so a group of eight is a 64-bit word: spread() and gather()
// move its codes between 8 and b bits apart by halving: 8b bits to 2 x 4b, to 4 x 2b, to 8 x b. On
// AVX2 the same halving works on 32 codes at once, four in each 32-bit lane.
#include "bitstill/codec/bit_packing.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bitstill {
namespace {

static_assert(std::endian::native == std::endian::little, "words are taken as little-endian");

/// The lowest `ones` bits of every `period` bits.
constexpr uint64_t comb(int ones, int period) {
  uint64_t mask = 0;
  for (int bit = 0; bit < 64; ++bit) {
    if (bit % period < ones) mask |= uint64_t{1} << bit;
  }
  return mask;
}

template <int kBits>
uint64_t spread(uint64_t word) {
  constexpr uint64_t kQuads = comb(4 * kBits, 64), kPairs = comb(2 * kBits, 32);
  constexpr uint64_t kCodes = comb(kBits, 16);
  word = (word & kQuads) | (word >> 4 * kBits & kQuads) << 32;
  word = (word & kPairs) | (word >> 2 * kBits & kPairs) << 16;
  return (word & kCodes) | (word >> kBits & kCodes) << 8;
}

template <int kBits>
uint64_t gather(uint64_t word) {
  constexpr uint64_t kQuads = comb(4 * kBits, 64), kPairs = comb(2 * kBits, 32);
  constexpr uint64_t kCodes = comb(kBits, 16);
  word = (word & kCodes) | (word >> 8 & kCodes) << kBits;
  word = (word & kPairs) | (word >> 16 & kPairs) << 2 * kBits;
  return (word & kQuads) | (word >> 32 & kQuads) << 4 * kBits;
}

template <int kBits>
void pack(const uint8_t* codes, std::size_t count, uint8_t* packed) {
  uint64_t word = 0;
  for (; count >= 8; count -= 8, codes += 8, packed += kBits) {
    std::memcpy(&word, codes, 8);
    word = gather<kBits>(word);
    std::memcpy(packed, &word, kBits);
  }
  word = 0;
  std::copy_n(codes, count, reinterpret_cast<uint8_t*>(&word));
  word = gather<kBits>(word);
  std::copy_n(reinterpret_cast<const uint8_t*>(&word), packed_bytes(count, kBits), packed);
}

#if defined(__x86_64__)

/// Unpacks groups of 32 codes from 4 * kBits bytes while two 16-byte loads stay inside the input;
/// returns how many codes it took.
template <int kBits>
__attribute__((target("avx2"))) std::size_t unpack_avx2(const uint8_t* packed, std::size_t count,
                                                        uint8_t* codes) {
  // Lane i of a half needs bits [4 kBits i, 4 kBits (i + 1)) of its 2 * kBits bytes; they begin at
  // bit 0 or 4 of a byte, so four bytes hold them.
  alignas(16) uint8_t bytes[16];
  alignas(16) int32_t shifts[4];
  for (int lane = 0; lane < 4; ++lane) {
    for (int byte = 0; byte < 4; ++byte) {
      bytes[4 * lane + byte] = static_cast<uint8_t>(4 * kBits * lane / 8 + byte);
    }
    shifts[lane] = 4 * kBits * lane % 8;
  }
  const __m256i places =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
  const __m256i shift =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(shifts)));
  const __m256i pairs = _mm256_set1_epi32(static_cast<int>(comb(2 * kBits, 32)));
  const __m256i each = _mm256_set1_epi32(static_cast<int>(comb(kBits, 16)));
  const std::size_t size = packed_bytes(count, kBits);
  std::size_t done = 0;
  for (std::size_t at = 0; at + 2 * kBits + 16 <= size; at += 4 * kBits, done += 32) {
    const auto* low = reinterpret_cast<const __m128i*>(packed + at);
    const auto* high = reinterpret_cast<const __m128i*>(packed + at + 2 * kBits);
    __m256i word = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                           _mm_loadu_si128(high), 1);
    word = _mm256_srlv_epi32(_mm256_shuffle_epi8(word, places), shift);
    word = _mm256_or_si256(
        _mm256_and_si256(word, pairs),
        _mm256_slli_epi32(_mm256_and_si256(_mm256_srli_epi32(word, 2 * kBits), pairs), 16));
    word = _mm256_or_si256(
        _mm256_and_si256(word, each),
        _mm256_slli_epi32(_mm256_and_si256(_mm256_srli_epi32(word, kBits), each), 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + done), word);
  }
  return done;
}

#endif

template <int kBits>
void unpack(const uint8_t* packed, std::size_t count, uint8_t* codes) {
  std::size_t done = 0;
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("avx2");
  if (fast) done = unpack_avx2<kBits>(packed, count, codes);
#endif
  packed += done / 8 * kBits;
  codes += done;
  count -= done;
  uint64_t word = 0;
  for (; count >= 8; count -= 8, codes += 8, packed += kBits) {
    std::memcpy(&word, packed, kBits);
    word = spread<kBits>(word);
    std::memcpy(codes, &word, 8);
  }
  word = 0;
  std::copy_n(packed, packed_bytes(count, kBits), reinterpret_cast<uint8_t*>(&word));
  word = spread<kBits>(word);
  std::copy_n(reinterpret_cast<const uint8_t*>(&word), count, codes);
}

}  // namespace

std::size_t packed_bytes(std::size_t count, int bits) {
  const auto width = static_cast<std::size_t>(bits);
  return count / 8 * width + (count % 8 * width + 7) / 8;
}

void pack_codes(const uint8_t* codes, std::size_t count, int bits, uint8_t* packed) {
  switch (bits) {
    case 1:
      return pack<1>(codes, count, packed);
    case 2:
      return pack<2>(codes, count, packed);
    case 3:
      return pack<3>(codes, count, packed);
    case 4:
      return pack<4>(codes, count, packed);
    case 5:
      return pack<5>(codes, count, packed);
    case 6:
      return pack<6>(codes, count, packed);
    case 7:
      return pack<7>(codes, count, packed);
    default:
      std::copy_n(codes, count, packed);
  }
}

void unpack_codes(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes) {
  switch (bits) {
    case 1:
      return unpack<1>(packed, count, codes);
    case 2:
      return unpack<2>(packed, count, codes);
    case 3:
      return unpack<3>(packed, count, codes);
    case 4:
      return unpack<4>(packed, count, codes);
    case 5:
      return unpack<5>(packed, count, codes);
    case 6:
      return unpack<6>(packed, count, codes);
    case 7:
      return unpack<7>(packed, count, codes);
    default:
      std::copy_n(packed, count, codes);
  }
}

void pack_codes_reference(const uint8_t* codes, std::size_t count, int bits, uint8_t* packed) {
  std::fill_n(packed, packed_bytes(count, bits), uint8_t{0});
  const auto width = static_cast<std::size_t>(bits);
  for (std::size_t i = 0; i < count * width; ++i) {
    const int bit = codes[i / width] >> (i % width) & 1;
    packed[i / 8] = static_cast<uint8_t>(packed[i / 8] | bit << (i % 8));
  }
}

void unpack_codes_reference(const uint8_t* packed, std::size_t count, int bits, uint8_t* codes) {
  std::fill_n(codes, count, uint8_t{0});
  const auto width = static_cast<std::size_t>(bits);
  for (std::size_t i = 0; i < count * width; ++i) {
    const int bit = packed[i / 8] >> (i % 8) & 1;
    codes[i / width] = static_cast<uint8_t>(codes[i / width] | bit << (i % width));
  }
}

}  // namespace bitstill
