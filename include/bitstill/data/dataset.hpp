// A folder of shards, opened for reading: the index, and rows of any split by number.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "bitstill/data/data_index.hpp"
#include "bitstill/data/row_decoder.hpp"

namespace bitstill {

/// The bytes of index.json and rows.crc32c.
struct IndexFiles {
  std::string index, row_sums;
};
/// Error(data) where there are none.
IndexFiles read_index_files(const std::string& folder);

/// Rows are read by pread on descriptors that are opened at the first use. Thread-safe, apart from
/// prepare().
class Dataset {
 public:
  /// Reads index.json and checks each shard's bytes outside the data sets. Error(data) naming the
  /// file and what is wrong: missing, truncated, foreign, changed, of another version.
  explicit Dataset(const std::string& folder);
  /// The same of files that were read already, perhaps by another rank, without a look at the
  /// shards: check_shards() has that.
  Dataset(const std::string& folder, const IndexFiles& files);
  ~Dataset();
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  /// Shards number first, first + stride, ...: their sizes and frames. Error(data).
  void check_shards(int64_t first, int64_t stride) const;

  const DataIndex& index() const;
  int64_t size(Split split) const;

  /// From now on index().shape and decoder() are of images cropped as `crop` (evaluation_crop)
  /// says, decoded by so many threads. Before the first use by others.
  void prepare(const CropOptions& crop, int64_t threads);
  /// As given to prepare(); crop none: rows are taken as they are.
  const CropOptions& crop() const;
  /// What rows become in evaluation. Error(settings) for rows without a size of their own, unless
  /// prepare() gave one.
  const RowDecoder& decoder() const;

  /// Rows rows[k] of `split`, and their labels into labels[k]. Every row's CRC-32C is checked, and
  /// its label's range: Error(data) names shard and row. `raw` may be used again and again.
  void read(Split split, std::span<const int64_t> rows, RawRows* raw, int64_t* labels) const;

  /// Of token shards: the lengths of all rows of `split`, in order. Error(data).
  std::vector<SentenceLengths> lengths(Split split) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The rows as evaluation sees them.
Batch read_batch(const Dataset& dataset, Split split, std::vector<int64_t> rows);

}  // namespace bitstill
