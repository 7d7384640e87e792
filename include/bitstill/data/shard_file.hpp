// One shard as an HDF5 file; the only source that speaks to HDF5 stands behind this header.
//
//   version 1, rows of one shape:    images  uint8 [rows, C, H, W]
//                                    labels  int64 [rows]
//   version 2, rows of any length:   bytes   uint8 [total]
//                                    offsets int64 [rows + 1]: row r is bytes[offsets[r],
//                                    offsets[r+1]) labels  int64 [rows]
//
// All contiguous. Everything else in the file is its frame: the few kilobytes by which HDF5 finds
// the data sets. The frame is for others: bitstill reads at the places that the index names, and
// never opens a shard by HDF5, whose library crashes on files from strangers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/image_shape.hpp"
#include "bitstill/data/raw_file.hpp"

namespace bitstill {

/// Of a row of a shard whose rows are of any length: who reads one keeps it whole in memory.
constexpr int64_t kMostRowBytes = int64_t{1} << 28;

/// Where the bytes of a shard lie.
struct ShardLayout {
  int64_t rows = 0;
  int64_t bytes = 0;          // of the whole file
  int64_t content = 0;        // place of row 0's bytes
  int64_t content_bytes = 0;  // of all rows
  int64_t labels = 0;         // place of row 0's label
  int64_t offsets = 0;        // place of offsets[0]; 0: version 1, all rows are of one length
  bool operator==(const ShardLayout&) const = default;
};

/// A shard file with its frame written and room for its rows allocated; HDF5 itself never writes to
/// the disk, since its library crashes on a full one. Error(storage).
RawFile create_shard_file(const std::string& path, int64_t rows, const ImageShape& shape,
                          ShardLayout* layout);
/// The same of version 2, for rows of `content_bytes` in all.
RawFile create_shard_file(const std::string& path, int64_t rows, int64_t content_bytes,
                          ShardLayout* layout);

/// Whether the data sets lie within the file, apart from each other, and fill it but for a frame.
bool is_sound(const ShardLayout& layout);

/// SHA-256 of the bytes outside the data sets of a sound layout.
std::string frame_sha256(const RawFile& file, const ShardLayout& layout);

/// Where each row begins within the content, and the end of the last: [rows + 1]. No check sum
/// covers offsets; a wrong one that can be used would fail its row's. Error(data) naming the row
/// where they fall, overlap or leave the content.
std::vector<int64_t> read_offsets(const RawFile& file, const ShardLayout& layout);

/// "1.10.8"
std::string hdf5_version();

}  // namespace bitstill
