// Images written by libpng and libjpeg for the tests to read again.
#pragma once

#include <gtest/gtest.h>
#include <png.h>
// jpeglib.h needs <cstdio> and does not include it
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <cstdlib>
#include <string>
#include <vector>

#include "bitstill/data/image.hpp"
#include "data_fixture.hpp"

namespace bitstill {

inline void append_bytes(png_structp png, png_bytep bytes, std::size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))
      ->append(reinterpret_cast<const char*>(bytes), count);
}
inline void flush_nothing(png_structp) {}

/// A PNG of these rows (as libpng wants them). A palette or transparency is set by `prepare`.
template <class Prepare>
std::string png_file(int64_t height, int64_t width, int depth, int colour, int interlace,
                     const std::vector<uint8_t>& bytes, const Prepare& prepare) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append_bytes, flush_nothing);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth,
               colour, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  prepare(png, info);
  png_write_info(png, info);
  const std::size_t row_bytes = png_get_rowbytes(png, info);
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < height; ++y) {
    rows.push_back(const_cast<png_bytep>(bytes.data()) + static_cast<std::size_t>(y) * row_bytes);
  }
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

inline std::string png_file(int64_t height, int64_t width, int depth, int colour,
                            const std::vector<uint8_t>& bytes, int interlace = PNG_INTERLACE_NONE) {
  return png_file(height, width, depth, colour, interlace, bytes, [](png_structp, png_infop) {});
}

/// An 8-bit PNG of an image with 1 or 3 channels.
inline std::string png_file(const Image& image) {
  return png_file(image.height, image.width, 8,
                  image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, image.bytes);
}

struct JpegSettings {
  bool subsampled = false;  // 4:2:0
  bool progressive = false;
  int restart_rows = 0;                    // a restart marker after so many rows of blocks
  std::vector<jpeg_scan_info> scans = {};  // a script of its own for a progressive file
  int across = 0, down = 0;  // samples of the first channel for one of the others; 0: by subsampled
  int quality = 100;
};

/// At quality 100 near the image, for one that is smooth. Four channels are inverted CMYK.
inline std::string jpeg_file(const Image& image, const JpegSettings& settings = {}) {
  jpeg_compress_struct encoder{};
  jpeg_error_mgr errors{};
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  jpeg_mem_dest(&encoder, &bytes, &count);
  encoder.image_height = static_cast<JDIMENSION>(image.height);
  encoder.image_width = static_cast<JDIMENSION>(image.width);
  encoder.input_components = static_cast<int>(image.channels);
  encoder.in_color_space = image.channels == 1   ? JCS_GRAYSCALE
                           : image.channels == 4 ? JCS_CMYK
                                                 : JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, settings.quality, TRUE);
  for (int c = 0; c < encoder.num_components && !settings.subsampled; ++c) {
    encoder.comp_info[c].h_samp_factor = encoder.comp_info[c].v_samp_factor = 1;
  }
  if (settings.across > 0) {
    encoder.comp_info[0].h_samp_factor = settings.across;
    encoder.comp_info[0].v_samp_factor = settings.down;
  }
  encoder.restart_in_rows = settings.restart_rows;
  if (settings.progressive) jpeg_simple_progression(&encoder);
  if (!settings.scans.empty()) {
    encoder.scan_info = settings.scans.data();
    encoder.num_scans = static_cast<int>(settings.scans.size());
  }
  jpeg_start_compress(&encoder, TRUE);
  for (int64_t y = 0; y < image.height; ++y) {
    auto* row = const_cast<JSAMPROW>(&image.bytes[y * image.width * image.channels]);
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  std::string file(reinterpret_cast<char*>(bytes), count);
  std::free(bytes);
  return file;
}

/// A TIFF block whose one entry is the orientation, in either byte order.
inline std::string tiff_block(int orientation, bool big_endian) {
  const auto value = static_cast<char>(orientation);
  return big_endian ? std::string("MM\0*\0\0\0\x8\0\1\1\x12\0\3\0\0\0\1\0", 19) + value +
                          std::string(6, '\0')
                    : std::string("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0", 18) + value +
                          std::string(7, '\0');
}

/// The JPEG with an EXIF block behind its first segment.
inline std::string with_exif(const std::string& jpeg, const std::string& tiff) {
  const std::string content = std::string("Exif\0\0", 6) + tiff;
  const auto length = static_cast<char>(content.size() + 2);
  const std::size_t first =
      4 + (static_cast<unsigned char>(jpeg[4]) << 8) + static_cast<unsigned char>(jpeg[5]) - 2 + 2;
  return jpeg.substr(0, first) + "\xFF\xE1" + '\0' + length + content + jpeg.substr(first);
}

/// A PNG of one random size-by-size image; equal seeds, equal images.
inline std::string random_png(int64_t height, int64_t width, uint64_t seed) {
  return png_file(
      {height, width, 3, random_bytes(static_cast<std::size_t>(height * width * 3), seed)});
}

/// A smooth image, different along each axis and in each channel, so that every turn shows.
inline Image ramp(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t value = c == 0   ? 20 + 120 * y / height + 80 * x / width
                              : c == 1 ? 200 * x / width
                                       : 250 - 200 * y / height;
        image.bytes.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return image;
}

inline int largest_difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width || a.channels != b.channels) return 999;
  int largest = 0;
  for (std::size_t i = 0; i < a.bytes.size(); ++i) {
    largest = std::max(largest, std::abs(a.bytes[i] - b.bytes[i]));
  }
  return largest;
}

}  // namespace bitstill
