// opening: index, row sums, each shard's size and frame; reading: pread and CRC-32C
#include "bitstill/data/dataset.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/shard_index.hpp"
#include "token_rows.hpp"

namespace bitstill {
namespace {

/// What is known of a row before its bytes are read; together, as they are used together.
struct RowFacts {
  int64_t label = 0;
  uint32_t sum = 0;  // CRC-32C of bytes and label
};

struct OpenShard {
  RawFile file;
  std::vector<RowFacts> rows;
  std::vector<int64_t> offsets;  // [rows + 1]; none where all rows are of one length
};

/// Every shard keeps a descriptor; the usual soft limit of 1,024 may be raised by anyone.
void allow_descriptors(std::size_t shards) {
  rlimit limit{};
  const rlim_t wanted = shards + 256;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

[[noreturn]] void refuse_row(const std::string& path, int64_t row, const std::string& reason) {
  throw Error(ExitCode::data, concat(path, ", row ", row, ": ", reason));
}

RawFile open_whole(const std::string& path, const ShardEntry& entry) {
  RawFile file = RawFile::open(path);
  if (file.bytes() != entry.layout.bytes) {
    throw Error(ExitCode::data,
                concat(path, ": holds ", file.bytes(), " bytes, ", kIndexFile, " says ",
                       entry.layout.bytes, ": it is truncated or another file; restore it"));
  }
  return file;
}

/// One shard of a split, opened at the first use.
class Shard {
 public:
  Shard(std::string path, ShardEntry entry, int64_t begin, const uint32_t* sums)
      : path_(std::move(path)), entry_(std::move(entry)), begin_(begin), sums_(sums) {}

  const std::string& path() const { return path_; }
  int64_t begin() const { return begin_; }  // its first row's number within the split
  int64_t end() const { return begin_ + entry_.layout.rows; }
  const ShardLayout& layout() const { return entry_.layout; }

  void check() const {
    const RawFile file = open_whole(path_, entry_);
    if (frame_sha256(file, entry_.layout) != entry_.frame_sha256) {
      throw Error(ExitCode::data, concat(path_,
                                         ": its bytes outside the data sets were changed since "
                                         "it was written, or it is another file; restore it"));
    }
  }

  const OpenShard& opened() const {
    if (const OpenShard* open = ready_.load(std::memory_order_acquire)) return *open;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!open_) {
      open_ = open();
      ready_.store(open_.get(), std::memory_order_release);
    }
    return *open_;
  }

  /// Where row `row` of the shard, or the end of the last, lies in its content.
  int64_t offset(const OpenShard& open, int64_t row) const {
    if (!open.offsets.empty()) return open.offsets[static_cast<std::size_t>(row)];
    return row * (entry_.layout.content_bytes / entry_.layout.rows);
  }

 private:
  std::unique_ptr<const OpenShard> open() const {
    auto open = std::make_unique<OpenShard>();
    open->file = open_whole(path_, entry_);
    const auto rows = static_cast<std::size_t>(entry_.layout.rows);
    std::vector<int64_t> labels(rows);
    open->file.read(labels.data(), entry_.layout.rows * 8, entry_.layout.labels);
    for (std::size_t i = 0; i < rows; ++i) open->rows.push_back({labels[i], sums_[i]});
    if (entry_.layout.offsets > 0) open->offsets = read_offsets(open->file, entry_.layout);
    return open;
  }

  std::string path_;
  ShardEntry entry_;
  int64_t begin_;
  const uint32_t* sums_;  // of its rows
  mutable std::mutex mutex_;
  mutable std::unique_ptr<const OpenShard> open_;
  mutable std::atomic<const OpenShard*> ready_{nullptr};
};

using Shards = std::vector<std::unique_ptr<Shard>>;

}  // namespace

struct Dataset::State {
  DataIndex index;
  std::vector<uint32_t> sums;  // of all rows
  std::array<Shards, kSplits> splits;
  CropOptions crop;
  std::unique_ptr<RowDecoder> decoder;

  State(const std::string& folder, const IndexFiles& files) {
    const ShardIndex parsed = parse_index(files.index, folder + "/" + kIndexFile);
    index = parsed.summary;
    sums = parse_row_sums(files.row_sums, folder, parsed);
    const uint32_t* next = sums.data();
    for (int split = 0; split < kSplits; ++split) {
      int64_t begin = 0;
      for (const ShardEntry& entry : parsed.shards[split]) {
        splits[split].push_back(
            std::make_unique<Shard>(folder + "/" + entry.file, entry, begin, next));
        begin += entry.layout.rows;
        next += entry.layout.rows;
      }
    }
    allow_descriptors(shards());
  }

  std::size_t shards() const {
    std::size_t count = 0;
    for (const Shards& split : splits) count += split.size();
    return count;
  }

  const Shard& shard_of(Split split, int64_t row) const {
    const Shards& shards = splits[static_cast<int>(split)];
    if (row < 0 || shards.empty() || row >= shards.back()->end()) {
      throw Error(ExitCode::data, concat("row ", row, " of ", word(split), ": there are ",
                                         index.count[static_cast<int>(split)]));
    }
    return **std::upper_bound(
        shards.begin(), shards.end(), row,
        [](int64_t r, const std::unique_ptr<Shard>& shard) { return r < shard->end(); });
  }

  /// Bytes just read of row `row` of the shard: what was written, with a label that exists?
  void check(const Shard& shard, const RowFacts& facts, int64_t row,
             std::span<const uint8_t> bytes) const {
    const uint32_t sum = crc32c(bytes.data(), bytes.size());
    if (crc32c(&facts.label, sizeof facts.label, sum) != facts.sum) {
      refuse_row(shard.path(), row,
                 "its bytes were changed since it was written (CRC-32C differs), or this rank sees "
                 "another data.folder than rank 0; restore the file");
    }
    const std::string defect = row_defect(index, bytes, facts.label);
    if (!defect.empty()) refuse_row(shard.path(), row, defect);
  }
};

IndexFiles read_index_files(const std::string& folder) {
  IndexFiles files{read_index_text(folder), {}};
  files.row_sums = read_row_sums_bytes(folder, parse_index(files.index, folder + "/" + kIndexFile));
  return files;
}

Dataset::Dataset(const std::string& folder) : Dataset(folder, read_index_files(folder)) {
  check_shards(0, 1);
}

Dataset::Dataset(const std::string& folder, const IndexFiles& files)
    : state_(std::make_unique<State>(folder, files)) {
  if (state_->index.content != Content::jpeg) prepare({}, 1);
}

Dataset::~Dataset() = default;

void Dataset::check_shards(int64_t first, int64_t stride) const {
  int64_t number = 0;
  for (const Shards& split : state_->splits) {
    for (const auto& shard : split) {
      if (number >= first && (number - first) % stride == 0) shard->check();
      ++number;
    }
  }
}

const DataIndex& Dataset::index() const {
  return state_->index;
}

int64_t Dataset::size(Split split) const {
  return state_->index.count[static_cast<int>(split)];
}

void Dataset::prepare(const CropOptions& crop, int64_t threads) {
  DataIndex& index = state_->index;
  index.shape = index.row;
  if (crop.crop != CropKind::none) index.shape = {index.row.channels, crop.size, crop.size};
  state_->crop = crop;
  state_->decoder = make_decoder(index, crop, threads);
}

const CropOptions& Dataset::crop() const {
  return state_->crop;
}

const RowDecoder& Dataset::decoder() const {
  if (state_->decoder) return *state_->decoder;
  throw Error(ExitCode::settings, concat(state_->index.name,
                                         ": its images have no size of their "
                                         "own; give data.size"));
}

void Dataset::read(Split split, std::span<const int64_t> rows, RawRows* raw,
                   int64_t* labels) const {
  std::vector<const Shard*> shards;
  raw->offsets.assign(1, 0);
  for (const int64_t row : rows) {
    const Shard& shard = state_->shard_of(split, row);
    const OpenShard& open = shard.opened();
    const int64_t at = row - shard.begin();
    // Rows come in random order: their facts are on the way while their bytes are read.
    __builtin_prefetch(&open.rows[static_cast<std::size_t>(at)]);
    raw->offsets.push_back(raw->offsets.back() + shard.offset(open, at + 1) -
                           shard.offset(open, at));
    shards.push_back(&shard);
  }
  raw->bytes.resize(static_cast<std::size_t>(raw->offsets.back()));
  raw->place = [this, split, rows = std::vector<int64_t>(rows.begin(), rows.end())](std::size_t k) {
    const Shard& shard = state_->shard_of(split, rows[k]);
    return concat(shard.path(), ", row ", rows[k] - shard.begin());
  };
  for (std::size_t k = 0; k < rows.size();) {
    const Shard& shard = *shards[k];
    const OpenShard& open = shard.opened();
    // Neighbours are one piece: evaluation, which goes through a split in order, reads in bulk.
    std::size_t end = k + 1;
    while (end < rows.size() && shards[end] == &shard && rows[end] == rows[end - 1] + 1) ++end;
    open.file.read(raw->bytes.data() + raw->offsets[k], raw->offsets[end] - raw->offsets[k],
                   shard.layout().content + shard.offset(open, rows[k] - shard.begin()));
    for (; k < end; ++k) {
      const int64_t at = rows[k] - shard.begin();
      const RowFacts& facts = open.rows[static_cast<std::size_t>(at)];
      state_->check(shard, facts, at, raw->row(k));
      labels[k] = facts.label;
    }
  }
}

std::vector<SentenceLengths> Dataset::lengths(Split split) const {
  std::vector<SentenceLengths> lengths;
  const int64_t width = token_bytes(state_->index);
  for (const auto& shard : state_->splits[static_cast<int>(split)]) {
    const OpenShard& open = shard->opened();
    for (std::size_t row = 0; row < open.rows.size(); ++row) {
      const int64_t tokens = (open.offsets[row + 1] - open.offsets[row]) / width;
      const int64_t source = open.rows[row].label;
      if (source < 0 || source > tokens || tokens > kMostTokens) {
        refuse_row(shard->path(), static_cast<int64_t>(row), "its lengths were changed");
      }
      lengths.push_back({static_cast<int32_t>(source), static_cast<int32_t>(tokens - source)});
    }
  }
  return lengths;
}

Batch read_batch(const Dataset& dataset, Split split, std::vector<int64_t> rows) {
  Batch batch;
  batch.rows = std::move(rows);
  batch.labels.resize(batch.rows.size());
  RawRows raw;
  dataset.read(split, batch.rows, &raw, batch.labels.data());
  dataset.decoder().decode(&raw, 0, &batch);
  return batch;
}

}  // namespace bitstill
