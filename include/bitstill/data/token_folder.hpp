// A folder of token shards being written.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/shard_index.hpp"
#include "bitstill/data/vocabulary.hpp"

namespace bitstill {

/// A pair of sentences in tokens, without specials.
struct TokenPair {
  std::vector<int32_t> source, target;
};
using TokenSplits = std::array<std::vector<TokenPair>, kSplits>;

/// Makes FOLDER by way of FOLDER.partial: vocabularies (one for both sides, or the source's and the
/// target's), shards, index. Takes name, split_rule, source and licence of `index` and finds the
/// rest. Error(storage).
void write_token_folder(const std::string& folder, const TokenSplits& rows,
                        const std::vector<const Vocabulary*>& vocabularies, int64_t rows_per_shard,
                        ShardIndex* index);

}  // namespace bitstill
