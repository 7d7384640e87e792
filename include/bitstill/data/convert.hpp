// bitstill shard: images of the formats people have become a folder of shards.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/dataset.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {

struct ShardOptions {
  std::string source;                             // --source: a file or folder, see datasets/
  std::string out;                                // --out: the folder to make
  SourceFormat format = SourceFormat::automatic;  // --format
  FolderLayout layout = FolderLayout::automatic;  // --layout (class_layout.hpp)
  std::string name;    // --name: empty: the format's, or the source folder's
  int64_t height = 0;  // --size HxW: shorter side resized, centre crop; 0: as they are
  int64_t width = 0;
  int64_t channels = 0;   // --channels: 1 or 3; 0: as the format has them (folder: 3)
  bool skip_bad = false;  // --skip-bad: leave out what cannot be read, instead of stopping
  bool allow_empty_classes = false;   // --allow-empty-classes: of which train has no image
  int64_t most_pixels = kMostPixels;  // --most-pixels: of an image file
  int64_t validation = -1;            // --validation: rows cut from train; -1: the format's rule
  int64_t test = -1;           // --test: rows cut, where the source has no test set of its own
  int64_t rows_per_shard = 0;  // --rows: 0: about 64 MB a shard
};

struct ConvertReport {
  std::string folder, name, format, split_rule;
  ImageShape shape;
  std::vector<std::string> classes;
  std::array<int64_t, kSplits> count{};
  std::array<std::vector<int64_t>, kSplits> per_class;
  std::vector<std::string> skipped;  // "file: reason" of each unreadable image
  LeftOut left_out;                  // what was not taken for an image, by reason
  int64_t twins = 0;                 // validation and test rows whose pixels also stand in train
  double seconds = 0;
};

/// Converts in this process, with all its cores. Error(settings) for options that do not fit the
/// source, Error(data) for what is wrong with it, Error(storage) where `out` cannot be written.
ConvertReport convert(const ShardOptions& options);

}  // namespace bitstill
