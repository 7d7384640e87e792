// Which part of a picture is seen, at which size: by torchvision's rules.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/data/jpeg_crop.hpp"

namespace bitstill {

enum class CropKind { none, random, centre };
template <>
struct WordsOf<CropKind> {
  static constexpr Word<CropKind> kTable[] = {
      {CropKind::none, "none", "JPEG shards: random"},
      {CropKind::random, "random", "a random part, scaled to data.size"},
      {CropKind::centre, "centre",
       "the middle of the picture scaled to data.resize, as in evaluation"}};
};

/// data.*
struct CropOptions {
  CropKind crop = CropKind::none;
  int64_t size = 224;  // of the square that a crop becomes
  int64_t resize = 0;  // of the whole picture's shorter side, before its centre is cut; 0: 8/7 size
  std::vector<double> scale = {0.08, 1};        // share of the picture's area, least and most
  std::vector<double> ratio = {0.75, 4.0 / 3};  // width over height, least and most
  bool scaled_decode = false;                   // JPEG rows in training: large crops by shrunk()
};
template <ConstOr<CropOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("crop", options.crop, "");
  visit("size", options.size, "height and width of what the network sees");
  visit("resize", options.resize,
        "the shorter side that the centre is cut from, in evaluation, too; 0: 8/7 of data.size");
  visit("scale", options.scale, "crop = random: least and largest share of the area");
  visit("ratio", options.ratio, "crop = random: least and largest width over height");
  visit("scaled_decode", options.scaled_decode,
        "JPEG shards, in training alone: decodes at 1/2, 1/4 or 1/8 what is at least so many times "
        "as large as data.size; nearly the same pixels, sooner");
}
/// Error(settings) names the setting.
void check(const CropOptions& options);

/// One axis of a crop: `source` pixels from `first` on are scaled to `scaled`, and of those are
/// wanted `count` from `begin` on. Where the picture is decoded at 1 / shrink, a pixel of it is
/// `shrink` of those that first and source count.
struct Stretch {
  int64_t first = 0, source = 0, scaled = 0, begin = 0, count = 0, shrink = 1;
  bool operator==(const Stretch&) const = default;
};

/// A picture's part and what becomes of it: rows.count x columns.count pixels.
struct Crop {
  Stretch rows, columns;
  bool flip = false;  // mirrored left-right at last
};

/// Whether the stream of (seed, variant, row) mirrors a picture; augment() mirrors the same ones.
/// variant: variant_of() of the epoch.
bool draw_flip(uint64_t seed, int64_t variant, int64_t row);

/// Torchvision's RandomResizedCrop of a picture, not mirrored: ten tries, then the largest central
/// part within the ratios. A function of (seed, variant, row) alone.
Crop random_crop(int64_t height, int64_t width, const CropOptions& options, uint64_t seed,
                 int64_t variant, int64_t row);

/// Torchvision's Resize(options.resize) and CenterCrop(options.size).
Crop centre_crop(int64_t height, int64_t width, const CropOptions& options);

/// The same of a picture decoded at 1/8, 1/4 or 1/2, the first at which no side of it is scaled
/// up; as it is where there is none.
Crop shrunk(Crop crop);

/// All source pixels that have a share in it, as they were decoded.
CropBox source_box(const Crop& crop);

}  // namespace bitstill
