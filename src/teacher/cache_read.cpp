#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>

#include "bitstill/base/text.hpp"
#include "bitstill/data/length_buckets.hpp"
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

/// Whether all classes of a row of the largest are some.
bool good_classes(std::span<const char> row, int64_t top, int64_t classes) {
  for (int64_t k = 0; k < top; ++k) {
    uint32_t number = 0;
    std::memcpy(&number, row.data() + 4 * k, sizeof number);
    if (number >= static_cast<uint64_t>(classes)) return false;
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

void LogitCache::set_lengths(std::span<const SentenceLengths> lengths) {
  constexpr int64_t kAll = int64_t{1} << 40;  // padded tokens: one batch
  terms_.resize(lengths.size());
  int64_t first = 0;
  for (const auto& batch : batches_by_length(lengths, kAll)) {
    for (const int64_t sentence : batch) {
      const auto s = static_cast<std::size_t>(sentence);
      terms_[s] = {first, lengths[s].target + 1};
      first += terms_[s].count;
    }
  }
  if (static_cast<int64_t>(lengths.size()) == facts_.samples && first == facts_.terms) return;
  throw Error(ExitCode::data, concat(folder_, ": holds ", facts_.terms, " rows of ", facts_.samples,
                                     " sentences, and train has ", first, " target tokens in ",
                                     lengths.size(), "; write the cache again"));
}

CacheRange LogitCache::rows_of(int64_t sample) const {
  return facts_.terms > 0 ? terms_[static_cast<std::size_t>(sample)] : CacheRange{sample, 1};
}

void LogitCache::read_rows(const CacheRange& rows, std::vector<char>* bytes) const {
  const CacheFile& file = *std::upper_bound(
      files_.begin(), files_.end(), rows.first,
      [](int64_t r, const CacheFile& f) { return r < f.range.first + f.range.count; });
  const int64_t each = facts_.row_bytes(), within = rows.first - file.range.first;
  bytes->resize(static_cast<std::size_t>(rows.count * each));
  file.file.read(bytes->data(), rows.count * each,
                 static_cast<int64_t>(kDigestBytes) + within * each);
  for (int64_t i = 0; i < rows.count; ++i) {
    const std::span row(bytes->data() + i * each, static_cast<std::size_t>(each));
    if (is_whole(row, digest_, rows.first + i) && good_classes(row, facts_.top, facts_.classes)) {
      continue;
    }
    throw Error(ExitCode::data, concat(file.file.path(), ", row ", within + i,
                                       ": its bytes were changed since it was written (CRC-32C "
                                       "differs); write the cache again"));
  }
}

std::vector<float> LogitCache::read(int64_t variant, std::span<const int64_t> samples) const {
  const auto words = static_cast<std::size_t>(facts_.words());
  const auto row_bytes = static_cast<std::size_t>(facts_.row_bytes());
  std::vector<char> bytes;
  std::vector<float> kept;
  kept.reserve(samples.size() * words);
  for (const int64_t sample : samples) {
    if (variant < 0 || variant >= facts_.variants || sample < 0 || sample >= facts_.samples) {
      throw Error(ExitCode::data,
                  concat(folder_, ": holds ", facts_.samples, " samples in ", facts_.variants,
                         " variants, not sample ", sample, " in variant ", variant));
    }
    const CacheRange rows = rows_of(sample);
    read_rows({variant * facts_.rows_of_variant() + rows.first, rows.count}, &bytes);
    for (std::size_t from = 0; from < bytes.size(); from += row_bytes) {
      kept.resize(kept.size() + words);
      std::memcpy(kept.data() + kept.size() - words, bytes.data() + from, words * sizeof(float));
    }
  }
  return kept;
}

at::Tensor LogitCache::logits(const at::Tensor& kept) const {
  const int64_t top = facts_.top;
  if (top == 0) return kept;
  const at::Tensor classes = kept.narrow(1, 0, top).view(at::kInt).to(at::kLong);
  return kept.narrow(1, 2 * top, 1)
      .expand({kept.size(0), facts_.classes})
      .contiguous()
      .scatter_(1, classes, kept.narrow(1, top, top));
}

}  // namespace bitstill
