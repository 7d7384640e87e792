// Writes a folder of shards under a temporary name; finish() gives it its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "bitstill/data/shard_index.hpp"

namespace bitstill {

std::string without_slash(std::string folder);

/// Error(settings) naming `setting` where there is such a folder already, and not empty.
void require_new_folder(const std::string& folder, const std::string& setting = "--out");

struct ShardWriterOptions {
  std::string folder;  // FOLDER.partial until finish(); must not exist, or be empty
  ImageShape shape;
  int64_t classes = 0;
  std::array<int64_t, kSplits> count{};  // rows that will be added to each split
  int64_t rows_per_shard = 0;            // 0: about 64 MB a shard
};

/// A conversion that fails or is killed leaves no folder that looks like a data set. Every method
/// throws Error(storage) when the disk is full or refuses.
class ShardWriter {
 public:
  /// Error(settings) when the folder exists already.
  explicit ShardWriter(const ShardWriterOptions& options);
  ~ShardWriter();  // removes what was not finished
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// The next row of `split`: [C,H,W] pixels and a label in 0..classes-1.
  void add(Split split, const uint8_t* pixels, int64_t label);

  /// Writes the index; takes name, classes and split_rule of the summary, source and licence, and
  /// computes the rest: counts, sums, and the normalization from the train split.
  void finish(ShardIndex description);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A folder of JPEG shards whose files are in memory, for tests and measurements: row r of train is
/// file_of(r) with the label r % classes. `folder` does not exist. Error(storage).
void write_jpeg_rows(const std::string& folder, int64_t rows, int64_t rows_per_shard,
                     int64_t classes, const std::function<std::string_view(int64_t row)>& file_of);

}  // namespace bitstill
