// index.json and rows.crc32c: what a folder of shards says about itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/data_index.hpp"
#include "bitstill/data/shard_file.hpp"

namespace bitstill {

constexpr const char* kIndexFile = "index.json";
/// One CRC-32C (4 bytes, little-endian) a row, over its bytes and then its 8 label bytes; rows in
/// the order of the index: train, validation, test, shard after shard.
constexpr const char* kRowSumsFile = "rows.crc32c";

struct ShardEntry {
  std::string file;  // plain name within the folder
  ShardLayout layout;
  std::string frame_sha256;  // of the bytes outside the data sets
  std::string sha256;        // of the whole file
};

/// The version of index.json and of the shards follows from the content: 1 for images.
struct ShardIndex {
  DataIndex summary;
  std::string source, licence;
  std::string row_sums_sha256;
  std::array<std::vector<int64_t>, kSplits> per_class;  // images: rows of each class
  std::array<std::vector<ShardEntry>, kSplits> shards;
  int64_t rows() const;
};

/// As index.json has them.
Json to_json(const std::vector<VocabularyFile>& vocabularies);
Json to_json(const SentenceTotals& totals);

/// The text of index.json. It ends with a SHA-256 of itself, so that any change is found.
std::string index_text(const ShardIndex& index);

/// Error(data) naming `where` and the first thing that is wrong.
ShardIndex parse_index(const std::string& text, const std::string& where);

/// index.json of `folder`; Error(data) where there is none.
std::string read_index_text(const std::string& folder);
ShardIndex read_index(const std::string& folder);

/// The bytes of rows.crc32c in `folder`; Error(data) for more than the index's rows have.
std::string read_row_sums_bytes(const std::string& folder, const ShardIndex& index);
/// Such bytes, checked against the index.
std::vector<uint32_t> parse_row_sums(const std::string& bytes, const std::string& folder,
                                     const ShardIndex& index);
/// The same, read from there.
std::vector<uint32_t> read_row_sums(const std::string& folder, const ShardIndex& index);

}  // namespace bitstill
