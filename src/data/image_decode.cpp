// Which decoder reads a file; EXIF orientation.
#include <cstring>
#include <string>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "decoders.hpp"

namespace bitstill {
namespace {

uint32_t number(std::string_view bytes, std::size_t at, std::size_t count, bool big_endian) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[at + (big_endian ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}

}  // namespace

int tiff_orientation(std::string_view tiff) {
  if (tiff.size() < 8) return 1;
  const bool big = tiff.starts_with("MM");
  if ((!big && !tiff.starts_with("II")) || number(tiff, 2, 2, big) != 42) return 1;
  const std::size_t directory = number(tiff, 4, 4, big);
  if (directory + 2 > tiff.size()) return 1;
  const std::size_t entries = number(tiff, directory, 2, big);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > tiff.size()) return 1;
    if (number(tiff, at, 2, big) != 0x0112) continue;
    const uint32_t value = number(tiff, at + 8, 2, big);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

void check_size(int64_t height, int64_t width, int64_t most_pixels) {
  if (height < 1 || width < 1) {
    throw Error(ExitCode::data, concat(height, "x", width, " pixels are none"));
  }
  if (height * width > most_pixels) {
    throw Error(ExitCode::data, concat(height, "x", width, " pixels are more than ", most_pixels,
                                       "; shrink the image or raise --most-pixels"));
  }
}

Image turn_upright(Image image, int orientation) {
  if (orientation == 1) return image;
  // Where row 0 and column 0 of the stored image are seen: 5..8 exchange rows and columns.
  const bool transposed = orientation >= 5;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Image upright = image;
  if (transposed) std::swap(upright.height, upright.width);
  const auto channels = static_cast<std::size_t>(image.channels);
  uint8_t* target = upright.bytes.data();
  for (int64_t y = 0; y < upright.height; ++y) {
    const int64_t v = from_bottom ? upright.height - 1 - y : y;
    for (int64_t x = 0; x < upright.width; ++x, target += channels) {
      const int64_t u = from_right ? upright.width - 1 - x : x;
      const int64_t at = transposed ? u * image.width + v : v * image.width + u;
      std::memcpy(target, &image.bytes[static_cast<std::size_t>(at) * channels], channels);
    }
  }
  return upright;
}

bool is_jpeg(std::string_view file) {
  return file.starts_with("\xFF\xD8");
}

Decoded decode_file(std::string_view file, int64_t most_pixels) {
  if (is_jpeg(file)) return decode_jpeg(file, most_pixels);
  if (file.starts_with("\x89PNG")) return decode_png(file, most_pixels);
  throw Error(ExitCode::data, file.empty() ? "empty file" : "neither a JPEG nor a PNG file");
}

Image decode_image(std::string_view file, int64_t most_pixels) {
  Decoded decoded = decode_file(file, most_pixels);
  return turn_upright(std::move(decoded.image), decoded.orientation);
}

}  // namespace bitstill
