// A folder of shards, opened for reading: the index, and rows of any split by number.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/data/image_shape.hpp"

namespace bitstill {

enum class Split { train, validation, test };
constexpr int kSplits = 3;
template <>
struct WordsOf<Split> {
  using enum Split;
  static constexpr Word<Split> kTable[] = {
      {train, "train"}, {validation, "validation"}, {test, "test"}};
};

/// What index.json says, apart from the check sums.
struct DataIndex {
  std::string name;  // "digits", "cifar10", ...
  ImageShape shape;
  std::vector<std::string> classes;
  Normalization normalization;
  std::array<int64_t, kSplits> count{};
  std::string split_rule;   // how the splits came to be, in words
  std::string fingerprint;  // SHA-256 of index.json: equal on all ranks, stored in model files
};

/// Read-only and thread-safe: reads are pread calls on file descriptors opened once.
class Dataset {
 public:
  /// Reads and checks index.json and each shard's bytes outside the data sets. Error(data) naming
  /// the file and what is wrong: missing, truncated, foreign, changed, of another version.
  explicit Dataset(const std::string& folder);
  ~Dataset();
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  const DataIndex& index() const;
  int64_t size(Split split) const;

  /// Row rows[k] of `split` into pixels[k * shape.pixels()] and labels[k]. Every row's CRC32C is
  /// checked before it is returned, and its label's range: Error(data) names shard and row.
  void read(Split split, std::span<const int64_t> rows, uint8_t* pixels, int64_t* labels) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitstill
