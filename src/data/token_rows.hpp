// Rows of token shards: little-endian ids, source and then target; a row's label is its source's
// length. And what every row is checked for besides its sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "bitstill/data/data_index.hpp"
#include "bitstill/data/row_decoder.hpp"

namespace bitstill {

constexpr int64_t kMostTokens = int64_t{1} << 24;  // of a row
constexpr int64_t kMostPieces = 65535;             // of a vocabulary whose ids take two bytes

/// Bytes of an id: 2 or 4.
int64_t token_bytes(const DataIndex& index);

/// ids as a row holds them, `width` bytes each.
void append_tokens(std::span<const int32_t> ids, int64_t width, std::string* row);

std::unique_ptr<RowDecoder> make_token_decoder(const DataIndex& index);

/// What is wrong with a row whose sum is right, by the index: a label or an id out of range. Empty:
/// nothing.
std::string row_defect(const DataIndex& index, std::span<const uint8_t> bytes, int64_t label);

}  // namespace bitstill
