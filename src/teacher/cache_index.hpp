// index.json of a logit cache.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bitstill/teacher/logit_cache.hpp"

namespace bitstill {

constexpr std::size_t kDigestBytes = 64;  // at the front of each file

/// What of them decides the images; null where there is none.
Json to_json(const CropOptions& crop);
Json to_json(const ColourOptions& colour);

/// Names a cache: SHA-256 of its facts.
std::string digest_of(const CacheFacts& facts);

struct CacheIndex {
  CacheFacts facts;
  std::vector<CacheRange> ranges;  // of each file, in order; those without rows have none
};
std::string cache_index_text(const CacheIndex& index);
/// Of `folder`; Error(data).
CacheIndex read_cache_index(const std::string& folder);

/// All files, each checked to be this index's. Error(data).
std::vector<CacheFile> open_cache_files(const std::string& folder, const CacheIndex& index);

/// What the sum of a row begins with.
uint32_t row_sum_seed(const std::string& digest, int64_t row);
/// Whether the row's bytes, its sum last, are those that were written.
bool is_whole(std::span<const char> bytes, const std::string& digest, int64_t row);

}  // namespace bitstill
