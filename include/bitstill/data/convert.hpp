// bitstill shard: images of the formats people have become a folder of shards.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bitstill/base/place.hpp"
#include "bitstill/data/data_index.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {

enum class RowStore { raw, jpeg };
template <>
struct WordsOf<RowStore> {
  using enum RowStore;
  static constexpr Word<RowStore> kTable[] = {
      {raw, "raw", "pixels of one size"},
      {jpeg, "jpeg", "files as they are, or smaller by --short-side"}};
};

/// How the network's input is normalized, unless a model file says otherwise.
enum class NormalizationSource { measured, imagenet };
template <>
struct WordsOf<NormalizationSource> {
  using enum NormalizationSource;
  static constexpr Word<NormalizationSource> kTable[] = {{measured, "measured", "over train"},
                                                         {imagenet, "imagenet", "torchvision's"}};
};

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
  int64_t test = -1;               // --test: rows cut, where the source has no test set of its own
  int64_t rows_per_shard = 0;      // --rows: 0: about 64 MB a shard, of JPEG 1 GB
  RowStore store = RowStore::raw;  // --store
  NormalizationSource normalization = NormalizationSource::measured;  // --normalization
  int64_t short_side = 0;  // --short-side: of JPEG rows at most; 0: any
  int64_t quality = 90;    // --quality: of what is encoded anew
  std::string labels;      // --labels: a file with the classes of a flat split folder's images
  std::string synsets;     // --synsets: a file with a name for each class folder
  bool operator==(const ShardOptions&) const = default;
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
  // Of --store jpeg: rows by what became of their files.
  int64_t kept = 0, scaled = 0, from_png = 0, from_cmyk = 0, turned = 0;
};

/// The ranks that convert together; one alone tells nobody. Every function is a collective.
struct ConvertRanks {
  Place place;
  std::function<void(std::vector<int64_t>* values)> sum;          // over all ranks, in place
  std::function<std::string(const std::string& text)> join;       // all ranks' texts in order
  std::function<void(const std::function<void()>& phase)> agree;  // all succeed or all throw
};
ConvertRanks convert_alone();

/// Converts with all cores of the ranks' hosts: JPEG shards by all ranks (their bytes do not depend
/// on how many there are, and shards that an earlier try has written are kept), raw ones by rank 0.
/// Error(settings) for options that do not fit the
/// source, Error(data) for what is wrong with it, Error(storage) where `out` cannot be written.
ConvertReport convert(const ShardOptions& options, const ConvertRanks& ranks = convert_alone());

}  // namespace bitstill
