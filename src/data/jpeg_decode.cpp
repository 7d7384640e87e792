// JPEG by libjpeg: grey, colour, CMYK.
#include <string>
#include <vector>

#include "bitstill/base/error.hpp"
#include "decoders.hpp"
#include "jpeg_failure.hpp"

namespace bitstill {
namespace {

/// A JPEG being read. Its methods return false where libjpeg gave up: its longjmp passes over no
/// object of ours that has a destructor.
struct JpegReader {
  jpeg_decompress_struct decoder{};
  JpegFailure failure;

  JpegReader() { decoder.err = &failure.base; }
  ~JpegReader() { jpeg_destroy_decompress(&decoder); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool read_header(std::string_view file) {
    if (setjmp(failure.back) != 0) return false;
    jpeg_create_decompress(&decoder);
    decoder.progress = &failure.progress;
    jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(file.data()), file.size());
    jpeg_save_markers(&decoder, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&decoder, TRUE);
    const J_COLOR_SPACE space = decoder.jpeg_color_space;
    decoder.out_color_space = space == JCS_GRAYSCALE                   ? JCS_GRAYSCALE
                              : space == JCS_CMYK || space == JCS_YCCK ? JCS_CMYK
                                                                       : JCS_RGB;
    decoder.dct_method = JDCT_ISLOW;
    decoder.do_block_smoothing = FALSE;  // as a crop is decoded
    return true;
  }

  bool read_rows(JSAMPROW* rows) {
    if (setjmp(failure.back) != 0) return false;
    jpeg_start_decompress(&decoder);
    while (decoder.output_scanline < decoder.output_height) {
      jpeg_read_scanlines(&decoder, rows + decoder.output_scanline,
                          decoder.output_height - decoder.output_scanline);
    }
    jpeg_finish_decompress(&decoder);
    return true;
  }

  /// Known until the last row was read, which ends libjpeg's list of markers.
  int orientation() const {
    constexpr std::string_view kExif("Exif\0\0", 6);
    for (auto* marker = decoder.marker_list; marker != nullptr; marker = marker->next) {
      const std::string_view content(reinterpret_cast<const char*>(marker->data),
                                     marker->data_length);
      if (content.starts_with(kExif)) return tiff_orientation(content.substr(kExif.size()));
    }
    return 1;
  }
};

/// CMYK as JPEG files hold it: inverted, 255 is no ink.
Image from_cmyk(const Image& cmyk) {
  Image rgb{cmyk.height, cmyk.width, 3, {}};
  rgb.bytes.reserve(static_cast<std::size_t>(cmyk.height * cmyk.width * 3));
  for (std::size_t i = 0; i < cmyk.bytes.size(); i += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      rgb.bytes.push_back(
          static_cast<uint8_t>((cmyk.bytes[i + c] * cmyk.bytes[i + 3] + 127) / 255));
    }
  }
  return rgb;
}

}  // namespace

Decoded decode_jpeg(std::string_view file, int64_t most_pixels) {
  JpegReader reader;
  if (!reader.read_header(file)) reader.failure.raise();
  const jpeg_decompress_struct& header = reader.decoder;
  check_size(header.image_height, header.image_width, most_pixels);
  const int channels = header.out_color_space == JCS_GRAYSCALE ? 1
                       : header.out_color_space == JCS_CMYK    ? 4
                                                               : 3;
  Image image{header.image_height, header.image_width, channels, {}};
  const auto row_bytes = static_cast<std::size_t>(image.width * channels);
  image.bytes.resize(row_bytes * header.image_height);
  std::vector<JSAMPROW> rows;
  for (std::size_t y = 0; y < header.image_height; ++y) rows.push_back(&image.bytes[y * row_bytes]);
  const int orientation = reader.orientation();
  if (!reader.read_rows(rows.data())) reader.failure.raise();
  return {channels == 4 ? from_cmyk(image) : std::move(image), orientation};
}

}  // namespace bitstill
