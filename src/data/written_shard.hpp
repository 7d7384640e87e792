// A shard of version 2 being written: row by row, and taken over if an earlier try finished it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/data/shard_index.hpp"

namespace bitstill {

/// Its file has another name until finish(), and beside it then lies NAME.done, which says all that
/// the index will. Every method throws Error(storage).
class ShardInWriting {
 public:
  ShardInWriting(const std::string& folder, const std::string& name, int64_t rows,
                 int64_t content_bytes);

  /// It was written before, with these sizes, and its bytes are those.
  bool is_whole() const { return whole_; }
  /// The next row; not of one that is whole.
  void add(std::string_view bytes, int64_t label);
  /// After the last row.
  void finish();

  const ShardEntry& entry() const { return entry_; }
  const std::vector<uint32_t>& sums() const { return sums_; }  // CRC-32C of each row

 private:
  bool take_over();
  std::string note() const;

  std::string path_;
  ShardEntry entry_;
  RawFile file_;
  std::vector<int64_t> offsets_ = {0}, labels_;
  std::vector<uint32_t> sums_;
  bool whole_ = false;
};

/// Entries without their names as integers, zero where nothing is known yet: sums over ranks that
/// each wrote some are all.
class WrittenShards {
 public:
  explicit WrittenShards(std::size_t shards = 0) : values_(shards * kValues) {}
  std::vector<int64_t>& values() { return values_; }
  void set(std::size_t n, const ShardEntry& entry);
  ShardEntry get(std::size_t n) const;

 private:
  static constexpr std::size_t kValues = 6 + 4 + 4;  // layout, two SHA-256
  std::vector<int64_t> values_;
};

/// What writers have noted in a folder whose shards are all whole.
void remove_notes(const std::string& folder);

}  // namespace bitstill
