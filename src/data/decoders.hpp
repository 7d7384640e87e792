// One decoder a file format, behind decode_image.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bitstill/data/image.hpp"

namespace bitstill {

struct Decoded {
  Image image;          // as it is stored: 1 or 3 channels
  int orientation = 1;  // how it is turned, as EXIF counts: 1..8
};

// Both throw Error(data) with the reason alone when the file cannot be read whole, and before a
// pixel is decoded when it announces more than `most_pixels`.
Decoded decode_jpeg(std::string_view file, int64_t most_pixels);
Decoded decode_png(std::string_view file, int64_t most_pixels);

bool is_jpeg(std::string_view file);

/// By the decoder of its format, which its first bytes tell.
Decoded decode_file(std::string_view file, int64_t most_pixels);

/// The image as EXIF orientation 1..8 means it to be seen.
Image turn_upright(Image image, int orientation);

/// Tag 0x0112 of the first directory of a TIFF block, 1 where it is missing or not 1..8.
int tiff_orientation(std::string_view tiff);

/// Error(data) where there is no pixel or one too many.
void check_size(int64_t height, int64_t width, int64_t most_pixels);

}  // namespace bitstill
