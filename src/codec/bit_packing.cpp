// Eight codes of b bits are b bytes, so a group of eight is a 64-bit word: spread() and gather()
// move its codes between 8 and b bits apart by halving: 8b bits to 2 x 4b, to 4 x 2b, to 8 x b.
// bit_packing_kernel.cpp unpacks more of them at once.
#include "bitstill/codec/bit_packing.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

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

template <int kBits>
void unpack_words(const uint8_t* packed, std::size_t count, uint8_t* codes) {
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

/// Whole words until `codes` is at the start of a cache line, then vectors, then the rest.
template <int kBits>
void unpack(const uint8_t* packed, std::size_t count, uint8_t* codes) {
  const std::size_t to_line = -reinterpret_cast<uintptr_t>(codes) % 64 / 8 * 8;
  const std::size_t head = std::min(to_line, count / 8 * 8);
  unpack_words<kBits>(packed, head, codes);
  packed += head / 8 * kBits;
  const std::size_t done = unpack_code_groups(packed, count - head, kBits, codes + head);
  unpack_words<kBits>(packed + done / 8 * kBits, count - head - done, codes + head + done);
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
