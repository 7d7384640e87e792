// Codes of one tensor (or of several that look alike) as symbols of an entropy coder.
//
// g codes form one symbol, c_0 + s c_1 + ... + s^(g-1) c_(g-1), g the most with s^g <= 256 (8 codes
// of 2 points, 4 of 4, 2 of 16), because a coder that spends whole words loses much on single 2-bit
// codes. A symbol's probability is the product of its codes' frequencies, so a file stores s bytes
// only: each code's weight, a float of 8 bits (4 of exponent, 4 of mantissa). Everything from the
// weights to the frequencies is integer arithmetic, equal on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitstill {

/// Codes a symbol, for `points` points, 1..256.
int codes_per_symbol(std::size_t points);

/// The 8-bit floats: 0..15 are themselves, b from 16 on is (16 + b % 16) << (b / 16 - 1).
uint32_t weight_of(uint8_t byte);

/// One byte a point, in proportion to `counts` (not all 0; a count above 0 gives a weight above 0).
std::vector<uint8_t> fit_weights(const std::vector<uint64_t>& counts);

/// Frequencies of all symbols of one table. They add to kTotal; 0 means: does not occur.
struct SymbolTable {
  static constexpr int kTotalBits = 12;
  static constexpr uint32_t kTotal = 1U << kTotalBits;

  /// `weights`: one byte a point, 1..256 of them, not all 0.
  explicit SymbolTable(const std::vector<uint8_t>& weights);

  int codes;                               // g
  std::size_t points;                      // s
  std::vector<uint32_t> frequency, start;  // a symbol each; start: the sum of those before it
  /// Slot -> symbol | (slot - start) << 8 | (frequency - 1) << 20: all that a decoder looks up.
  std::array<uint32_t, kTotal> slots;
};

/// Bits that `counts` codes take under `weights`, without the table: what choices are made by.
/// Infinite where a code occurs that has no weight.
double coded_bits(const std::vector<uint64_t>& counts, const std::vector<uint8_t>& weights);

/// ceil(count / g) symbols of `count` codes, and back. The last symbol is filled with the last
/// code.
std::vector<uint8_t> group_codes(const uint8_t* codes, std::size_t count, std::size_t points);
void split_symbols(const uint8_t* symbols, std::size_t count, std::size_t points, uint8_t* codes);

}  // namespace bitstill
