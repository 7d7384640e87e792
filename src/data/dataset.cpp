// opening: index, row sums, each shard's size, frame, layout and labels; reading: pread and CRC-32C
#include "bitstill/data/dataset.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/shard_index.hpp"

namespace bitstill {
namespace {

struct OpenShard {
  RawFile file;
  int64_t begin = 0;   // its first row's number within the split
  int64_t end = 0;     // one past its last
  int64_t images = 0;  // offset of its first row's pixels
};

/// What is known of a row before its pixels are read; together, as they are used together.
struct RowFacts {
  int64_t label = 0;
  uint32_t sum = 0;  // CRC-32C of pixels and label
};

/// One split: its shards in order, and the facts of each row.
struct OpenSplit {
  std::vector<OpenShard> shards;
  std::vector<RowFacts> rows;
};

/// Every shard keeps a descriptor; the usual soft limit of 1,024 may be raised by anyone.
void allow_descriptors(std::size_t shards) {
  rlimit limit{};
  const rlim_t wanted = shards + 256;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

OpenShard open_shard(const std::string& folder, const ShardEntry& entry, const ImageShape& shape) {
  OpenShard shard{RawFile::open(folder + "/" + entry.file)};
  const std::string& path = shard.file.path();
  if (shard.file.bytes() != entry.layout.bytes) {
    throw Error(ExitCode::data,
                concat(path, ": holds ", shard.file.bytes(), " bytes, ", kIndexFile, " says ",
                       entry.layout.bytes, ": it is truncated or another file; restore it"));
  }
  if (frame_sha256(shard.file, entry.layout, shape) != entry.frame_sha256) {
    throw Error(ExitCode::data, concat(path,
                                       ": its bytes outside the data sets were changed since "
                                       "it was written, or it is another file; restore it"));
  }
  if (read_shard_layout(path, shape) != entry.layout) {
    throw Error(ExitCode::data,
                concat(path, ": its data sets lie elsewhere than ", kIndexFile, " says"));
  }
  shard.images = entry.layout.images;
  return shard;
}

[[noreturn]] void refuse_row(const OpenShard& shard, int64_t row, const std::string& reason) {
  throw Error(ExitCode::data, concat(shard.file.path(), ", row ", row - shard.begin, ": ", reason));
}

}  // namespace

struct Dataset::State {
  DataIndex index;
  std::array<OpenSplit, kSplits> splits;

  /// Appends one shard and its rows' labels; their sums start at `sums`.
  void add_shard(const std::string& folder, const ShardEntry& entry, const uint32_t* sums,
                 OpenSplit* split) {
    OpenShard shard = open_shard(folder, entry, index.shape);
    const int64_t rows = entry.layout.rows;
    shard.begin = static_cast<int64_t>(split->rows.size());
    shard.end = shard.begin + rows;
    std::vector<int64_t> labels(static_cast<std::size_t>(rows));
    shard.file.read(labels.data(), rows * 8, entry.layout.labels);
    for (int64_t i = 0; i < rows; ++i) split->rows.push_back({labels[i], sums[i]});
    split->shards.push_back(std::move(shard));
  }

  /// Pixels just read of `row`: what was written, with a label that exists?
  void check(const OpenSplit& split, const OpenShard& shard, int64_t row,
             const uint8_t* pixels) const {
    const RowFacts& facts = split.rows[row];
    const uint32_t sum = crc32c(pixels, static_cast<std::size_t>(index.shape.pixels()));
    if (crc32c(&facts.label, sizeof facts.label, sum) != facts.sum) {
      refuse_row(shard, row,
                 "its bytes were changed since it was written (CRC-32C differs); restore the file");
    }
    if (facts.label < 0 || facts.label >= static_cast<int64_t>(index.classes.size())) {
      refuse_row(shard, row,
                 concat("label ", facts.label, " is out of range, there are ", index.classes.size(),
                        " classes"));
    }
  }
};

Dataset::Dataset(const std::string& folder) : state_(std::make_unique<State>()) {
  const ShardIndex index = read_index(folder);
  const std::vector<uint32_t> sums = read_row_sums(folder, index);
  state_->index = index.summary;
  std::size_t shards = 0;
  for (const auto& entries : index.shards) shards += entries.size();
  allow_descriptors(shards);
  const uint32_t* next = sums.data();
  for (int split = 0; split < kSplits; ++split) {
    for (const ShardEntry& entry : index.shards[split]) {
      state_->add_shard(folder, entry, next, &state_->splits[split]);
      next += entry.layout.rows;
    }
  }
}

Dataset::~Dataset() = default;

const DataIndex& Dataset::index() const {
  return state_->index;
}

int64_t Dataset::size(Split split) const {
  return state_->index.count[static_cast<int>(split)];
}

void Dataset::read(Split split, std::span<const int64_t> rows, uint8_t* pixels,
                   int64_t* labels) const {
  const OpenSplit& open = state_->splits[static_cast<int>(split)];
  const int64_t row_bytes = state_->index.shape.pixels();
  for (std::size_t k = 0; k < rows.size();) {
    const int64_t row = rows[k];
    if (row < 0 || row >= size(split)) {
      throw Error(ExitCode::data,
                  concat("row ", row, " of ", word(split), ": there are ", size(split)));
    }
    const OpenShard& shard =
        *std::upper_bound(open.shards.begin(), open.shards.end(), row,
                          [](int64_t r, const OpenShard& s) { return r < s.end; });
    // Neighbours are one piece: evaluation, which goes through a split in order, reads in bulk.
    std::size_t run = 1;
    while (k + run < rows.size() && rows[k + run] == row + static_cast<int64_t>(run) &&
           rows[k + run] < shard.end) {
      ++run;
    }
    // Rows come in random order: their facts are on the way while the pixels are read.
    __builtin_prefetch(&open.rows[row]);
    uint8_t* target = pixels + static_cast<int64_t>(k) * row_bytes;
    shard.file.read(target, static_cast<int64_t>(run) * row_bytes,
                    shard.images + (row - shard.begin) * row_bytes);
    for (std::size_t i = 0; i < run; ++i, ++k) {
      state_->check(open, shard, rows[k], target + static_cast<int64_t>(i) * row_bytes);
      labels[k] = open.rows[rows[k]].label;
    }
  }
}

}  // namespace bitstill
