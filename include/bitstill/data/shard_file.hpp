// One shard as an HDF5 file; the only source that speaks to HDF5 stands behind this header.
//
//   images  uint8 [rows, C, H, W], contiguous      labels  int64 [rows], contiguous
//
// Everything else in the file is its frame: the few kilobytes by which HDF5 finds the data sets.
#pragma once

#include <cstdint>
#include <string>

#include "bitstill/data/image_shape.hpp"
#include "bitstill/data/raw_file.hpp"

namespace bitstill {

/// Where the bytes of a shard lie.
struct ShardLayout {
  int64_t rows = 0;
  int64_t bytes = 0;   // of the whole file
  int64_t images = 0;  // offset of row 0's pixels
  int64_t labels = 0;  // offset of row 0's label
  bool operator==(const ShardLayout&) const = default;
};

/// A shard file with its frame written and room for `rows` rows allocated; HDF5 itself never writes
/// to the disk, since its library crashes on a full one. Error(storage).
RawFile create_shard_file(const std::string& path, int64_t rows, const ImageShape& shape,
                          ShardLayout* layout);

/// What HDF5 finds in the file. Call it only once frame_sha256 is known to be right: the library
/// crashes on files from strangers. Error(data) when the data sets are not those of a shard.
ShardLayout read_shard_layout(const std::string& path, const ImageShape& shape);

/// SHA-256 of the bytes outside the data sets.
std::string frame_sha256(const RawFile& file, const ShardLayout& layout, const ImageShape& shape);

/// "1.10.8"
std::string hdf5_version();

}  // namespace bitstill
