// What all that write shards do alike: names, the sums behind the normalization, the last step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/shard_index.hpp"

namespace bitstill {

// In a folder that JPEG shards are being written to: what is known of the images, and of a shard
// that is whole ("train-00000.h5.done").
constexpr const char* kExamined = "examined.";
constexpr const char* kShardDone = ".h5.done";

/// Exact sums of a channel's bytes.
struct ChannelSums {
  uint64_t values = 0, squares = 0, count = 0;
  void add(const uint8_t* bytes, int64_t number, int64_t stride);
};
Normalization normalization_of(const std::vector<ChannelSums>& channels);

/// "train-00002.h5"
std::string shard_name(Split split, std::size_t number);

/// Removes an unfinished folder, but nothing that a writer of shards did not put there.
void remove_partial(const std::string& folder);

/// The last step: rows.crc32c and index.json into `partial`, which then becomes `folder`.
/// Error(storage).
void publish_shards(const std::string& partial, const std::string& folder,
                    const std::vector<uint32_t>& sums, ShardIndex* index);

}  // namespace bitstill
