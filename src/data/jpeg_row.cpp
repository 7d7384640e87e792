#include "jpeg_row.hpp"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/data/resize.hpp"
#include "decoders.hpp"
#include "jpeg_failure.hpp"

namespace bitstill {
namespace {

/// A JPEG being written. write() returns false where libjpeg gave up: its longjmp passes over no
/// object of ours that has a destructor.
struct JpegWriter {
  jpeg_compress_struct encoder{};
  JpegFailure failure;
  unsigned char* bytes = nullptr;
  unsigned long count = 0;

  JpegWriter() { encoder.err = &failure.base; }
  ~JpegWriter() {
    jpeg_destroy_compress(&encoder);
    std::free(bytes);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  bool write(const Image& image, int quality) {
    if (setjmp(failure.back) != 0) return false;
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &bytes, &count);
    encoder.image_height = static_cast<JDIMENSION>(image.height);
    encoder.image_width = static_cast<JDIMENSION>(image.width);
    encoder.input_components = static_cast<int>(image.channels);
    encoder.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, quality, TRUE);
    encoder.dct_method = JDCT_ISLOW;
    jpeg_start_compress(&encoder, TRUE);
    const auto row_bytes = static_cast<std::size_t>(image.width * image.channels);
    for (std::size_t y = 0; y < encoder.image_height; ++y) {
      auto* row = const_cast<JSAMPROW>(&image.bytes[y * row_bytes]);
      jpeg_write_scanlines(&encoder, &row, 1);
    }
    jpeg_finish_compress(&encoder);
    return true;
  }
};

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

std::string encode_jpeg(const Image& image, int64_t quality) {
  JpegWriter writer;
  if (!writer.write(image, static_cast<int>(quality))) {
    throw Error(ExitCode::data, std::string("cannot be written as JPEG: ") + writer.failure.reason);
  }
  return {reinterpret_cast<const char*>(writer.bytes), writer.count};
}

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
  row.bytes =
      row.change == JpegChange::kept ? std::move(file) : encode_jpeg(row.image, options.quality);
  return row;
}

}  // namespace bitstill
