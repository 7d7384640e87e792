#include "jpeg_row.hpp"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/resize.hpp"
#include "decoders.hpp"

namespace bitstill {
namespace {

/// The whole image with a shorter side of `short_side`.
Image scaled_to(const Image& image, int64_t short_side) {
  const int64_t shorter = std::min(image.height, image.width);
  const auto stretch = [&](int64_t side) {
    const int64_t scaled = short_side * side / shorter;
    return Stretch{0, side, scaled, 0, scaled};
  };
  const Crop whole{stretch(image.height), stretch(image.width)};
  Image small{whole.rows.count, whole.columns.count, image.channels, {}};
  const auto pixels = static_cast<std::size_t>(small.height * small.width);
  const auto channels = static_cast<std::size_t>(image.channels);
  std::vector<uint8_t> planes(pixels * channels);
  CropResizer().resize_crop(
      {image.bytes.data(), image.height, image.width, image.channels, image.width * image.channels},
      whole, planes.data());
  small.bytes.resize(planes.size());
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < pixels; ++i) small.bytes[i * channels + c] = planes[c * pixels + i];
  }
  return small;
}

}  // namespace

JpegRow make_jpeg_row(std::string file, const JpegRowOptions& options) {
  JpegRow row;
  const bool jpeg = is_jpeg(file);
  Decoded decoded = decode_file(file, options.most_pixels);
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  if (!jpeg) {
    row.change = JpegChange::from_png;
  } else if (read_jpeg_size(bytes).channels == 4) {
    row.change = JpegChange::from_cmyk;
  } else if (decoded.orientation != 1) {
    row.change = JpegChange::turned;
  }
  row.image = turn_upright(std::move(decoded.image), decoded.orientation);
  if (options.short_side > 0 && std::min(row.image.height, row.image.width) > options.short_side) {
    row.image = scaled_to(row.image, options.short_side);
    if (row.change == JpegChange::kept) row.change = JpegChange::scaled;
  }
  // Whoever trains on rows has not heard of options.most_pixels.
  if (row.image.height * row.image.width > kMostPixels) {
    throw Error(ExitCode::data,
                concat(row.image.height, "x", row.image.width, " pixels are more than a row's ",
                       kMostPixels, "; give --short-side"));
  }
  row.bytes = row.change == JpegChange::kept
                  ? std::move(file)
                  : encode_jpeg(row.image, static_cast<int>(options.quality));
  return row;
}

}  // namespace bitstill
