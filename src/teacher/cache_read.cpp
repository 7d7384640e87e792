#include <algorithm>
#include <cstring>

#include "bitstill/base/text.hpp"
#include "cache_index.hpp"

namespace bitstill {
namespace {

RawFile open_file(const std::string& path, const std::string& digest, int64_t bytes) {
  RawFile file = RawFile::open(path);
  if (file.bytes() != bytes) {
    throw Error(ExitCode::data,
                concat(path, ": holds ", file.bytes(), " bytes, ", kCacheIndexFile, " says ", bytes,
                       ": it is truncated or another file; write the cache again"));
  }
  std::string held(kDigestBytes, '\0');
  file.read(held.data(), static_cast<int64_t>(held.size()), 0);
  if (held != digest) {
    throw Error(ExitCode::data, concat(path, ": is of another cache than ", kCacheIndexFile,
                                       " beside it; write the cache again"));
  }
  return file;
}

/// `row`: classes, logits, the others' logit. False for a class that there is not.
bool spread(const char* row, int64_t top, int64_t classes, float* logits) {
  float others = 0;
  std::memcpy(&others, row + 8 * top, sizeof others);
  std::fill(logits, logits + classes, others);
  for (int64_t k = 0; k < top; ++k) {
    uint32_t number = 0;
    std::memcpy(&number, row + 4 * k, sizeof number);
    if (number >= static_cast<uint64_t>(classes)) return false;
    std::memcpy(logits + number, row + 4 * (top + k), sizeof(float));
  }
  return true;
}

}  // namespace

std::vector<CacheFile> open_cache_files(const std::string& folder, const CacheIndex& index) {
  const std::string digest = digest_of(index.facts);
  std::vector<CacheFile> files;
  for (std::size_t i = 0; i < index.ranges.size(); ++i) {
    const CacheRange& range = index.ranges[i];
    if (range.count == 0) continue;
    const int64_t bytes =
        static_cast<int64_t>(kDigestBytes) + range.count * index.facts.row_bytes();
    files.push_back({open_file(folder + "/" + cache_file_name(i), digest, bytes), range});
  }
  return files;
}

LogitCache::LogitCache(const std::string& folder) : folder_(folder) {
  const CacheIndex index = read_cache_index(folder);
  facts_ = index.facts;
  digest_ = digest_of(facts_);
  files_ = open_cache_files(folder, index);
}

bool LogitCache::is_of(const CacheFacts& facts) const {
  return digest_of(facts) == digest_;
}

void LogitCache::read(int64_t variant, std::span<const int64_t> samples, float* logits) const {
  const int64_t bytes = facts_.row_bytes();
  std::vector<char> row(static_cast<std::size_t>(bytes));
  for (const int64_t sample : samples) {
    if (variant < 0 || variant >= facts_.variants || sample < 0 || sample >= facts_.samples) {
      throw Error(ExitCode::data,
                  concat(folder_, ": holds ", facts_.samples, " samples in ", facts_.variants,
                         " variants, not sample ", sample, " in variant ", variant));
    }
    const int64_t number = variant * facts_.samples + sample;
    const CacheFile& file = *std::upper_bound(
        files_.begin(), files_.end(), number,
        [](int64_t r, const CacheFile& f) { return r < f.range.first + f.range.count; });
    const int64_t within = number - file.range.first;
    file.file.read(row.data(), bytes, static_cast<int64_t>(kDigestBytes) + within * bytes);
    bool good = is_whole(row, digest_, number);
    if (facts_.top > 0) {
      good = good && spread(row.data(), facts_.top, facts_.classes, logits);
    } else {
      std::memcpy(logits, row.data(), row.size() - sizeof(uint32_t));
    }
    if (!good) {
      throw Error(ExitCode::data,
                  concat(file.file.path(), ", row ", within,
                         ": its bytes were changed since it was written (CRC-32C differs); write "
                         "the cache again"));
    }
    logits += facts_.classes;
  }
}

}  // namespace bitstill
