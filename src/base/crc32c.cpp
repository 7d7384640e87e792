// crc32c_reference   one byte at a time, by table
// Advance            what `kBytes` zero bytes do to a CRC, as a table: joins streams
// crc32c_sse42       three streams at once, since the instruction takes 3 cycles but starts every
// one
#include "bitstill/base/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace bitstill {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // Castagnoli, reflected

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

#if defined(__x86_64__)

/// The CRC register after `kBytes` zero bytes, from four look-ups. It is linear in the register.
template <std::size_t kBytes>
class Advance {
 public:
  Advance() {
    for (uint32_t byte = 0; byte < 4; ++byte) {
      for (uint32_t bit = 0; bit < 8; ++bit) {
        uint32_t crc = uint32_t{1} << (8 * byte + bit);
        for (std::size_t i = 0; i < kBytes; ++i) crc = crc >> 8 ^ kTable[crc & 255];
        for (uint32_t i = 0; i < 256; ++i) {
          if (i >> bit & 1) table_[byte][i] ^= crc;
        }
      }
    }
  }
  uint32_t operator()(uint32_t crc) const {
    return table_[0][crc & 255] ^ table_[1][crc >> 8 & 255] ^ table_[2][crc >> 16 & 255] ^
           table_[3][crc >> 24];
  }

 private:
  std::array<std::array<uint32_t, 256>, 4> table_{};
};

uint64_t load_word(const unsigned char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Takes 3 * kBytes from `bytes` as often as they are there.
template <std::size_t kBytes>
__attribute__((target("sse4.2"))) uint32_t three_streams(const unsigned char*& bytes,
                                                         std::size_t& count, uint32_t crc) {
  static const Advance<kBytes> advance;
  for (; count >= 3 * kBytes; bytes += 3 * kBytes, count -= 3 * kBytes) {
    uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < kBytes; i += 8) {
      a = _mm_crc32_u64(a, load_word(bytes + i));
      b = _mm_crc32_u64(b, load_word(bytes + kBytes + i));
      c = _mm_crc32_u64(c, load_word(bytes + 2 * kBytes + i));
    }
    const uint32_t ab = advance(static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b);
    crc = advance(ab) ^ static_cast<uint32_t>(c);
  }
  return crc;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(const unsigned char* bytes,
                                                        std::size_t count, uint32_t crc) {
  crc = three_streams<2048>(bytes, count, crc);
  crc = three_streams<256>(bytes, count, crc);
  uint64_t wide = crc;
  for (; count >= 8; bytes += 8, count -= 8) wide = _mm_crc32_u64(wide, load_word(bytes));
  crc = static_cast<uint32_t>(wide);
  for (; count > 0; ++bytes, --count) crc = _mm_crc32_u8(crc, *bytes);
  return crc;
}

#endif

}  // namespace

uint32_t crc32c_reference(const void* bytes, std::size_t count, uint32_t crc) {
  const auto* next = static_cast<const unsigned char*>(bytes);
  crc = ~crc;
  for (std::size_t i = 0; i < count; ++i) crc = crc >> 8 ^ kTable[(crc ^ next[i]) & 255];
  return ~crc;
}

uint32_t crc32c(const void* bytes, std::size_t count, uint32_t crc) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return ~crc32c_sse42(static_cast<const unsigned char*>(bytes), count, ~crc);
#endif
  return crc32c_reference(bytes, count, crc);
}

}  // namespace bitstill
