// An interleaved rANS coder (Duda 2009, 2013; range variant): symbols under tables that may change
// from run to run, in one stream.
//
// Source: J. Duda, "Asymmetric numeral systems", arXiv 1311.2540; interleaving: F. Giesen, arXiv
// 1402.3392. Symbol i belongs to lane i % lanes. A lane's state x is 32 bits, x >= 2^16:
//   slot = x % 2^12;  symbol, frequency f, start a of that slot;  x = f (x / 2^12) + slot - a;
//   while x < 2^16 (at most once): x = 2^16 x + next word
// The stream: `lanes` states (u32), then words (u16) in the order in which they are read, all
// little-endian. At its end every state is 2^16 again and every word has been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/codec/symbol_table.hpp"

namespace bitstill {

/// Symbols under one table.
struct SymbolRun {
  const SymbolTable* table = nullptr;
  const uint8_t* symbols = nullptr;  // each of frequency above 0
  std::size_t count = 0;
};

/// The stream of all runs, one after the other. lanes: 1..kMostLanes.
std::vector<uint8_t> encode_rans(const std::vector<SymbolRun>& runs, int lanes);

/// Reads runs in the order in which they were encoded. Trusts nothing; the stream must outlive it.
class RansDecoder {
 public:
  static constexpr int kMostLanes = 64;
  static constexpr int kFastLanes = 64;  // what decode() does with SIMD; other numbers in turn

  /// Error(model) beginning with `where` when the stream cannot be one of so many lanes.
  RansDecoder(const uint8_t* stream, std::size_t bytes, int lanes, std::string where);

  /// Writes `count` symbols. Error(model) when the stream ends before.
  void decode(const SymbolTable& table, std::size_t count, uint8_t* symbols);
  /// The same, one symbol after the other: the reference.
  void decode_reference(const SymbolTable& table, std::size_t count, uint8_t* symbols);

  /// Error(model) unless the stream ended exactly here, as an undamaged one does.
  void finish() const;

 private:
  std::string where_;
  std::size_t lane_ = 0;          // of the next symbol
  std::vector<uint32_t> states_;  // one a lane
  const uint8_t* next_;           // word
  const uint8_t* end_;
};

/// What a SIMD decoder moves: states and the place in the stream.
struct RansRun {
  const SymbolTable* table = nullptr;
  uint32_t* states = nullptr;     // RansDecoder::kFastLanes
  const uint8_t* next = nullptr;  // the stream
  const uint8_t* end = nullptr;
};

/// Decodes rounds of kFastLanes symbols while the stream certainly holds what a round may read; at
/// most `rounds`. Moves run.states and run.next; returns the number of rounds done.
std::size_t decode_rans_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols);
/// The same without look-ups in memory, of at most 64 symbols (AVX-512); else it does 0 rounds.
std::size_t search_rans_rounds(RansRun& run, std::size_t rounds, uint8_t* symbols);

}  // namespace bitstill
