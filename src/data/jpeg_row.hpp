// What an image file becomes as a row of a JPEG shard.
#pragma once

#include <string>

#include "bitstill/data/image.hpp"

namespace bitstill {

/// Why a row is not its file byte for byte; the first that holds.
enum class JpegChange : int64_t { kept = 1, from_png, from_cmyk, turned, scaled };

struct JpegRow {
  std::string bytes;  // a grey or colour JPEG that is seen upright
  JpegChange change = JpegChange::kept;
  Image image;  // its pixels, before encoding where that was done
};

struct JpegRowOptions {
  int64_t short_side = 0;  // of larger images; 0: none is scaled
  int64_t quality = 90;
  int64_t most_pixels = kMostPixels;
};

/// The whole file is decoded: Error(data) with the reason alone when that fails, as decode_image
/// has it.
JpegRow make_jpeg_row(std::string file, const JpegRowOptions& options);

}  // namespace bitstill
