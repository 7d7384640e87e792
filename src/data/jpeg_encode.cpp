#include "bitstill/data/jpeg_encode.hpp"

#include <cstdlib>

#include "jpeg_failure.hpp"

namespace bitstill {
namespace {

/// A JPEG being written. encode() returns false where libjpeg gave up: its longjmp passes over no
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

  bool encode(const Image& image, int quality) {
    if (setjmp(failure.back) != 0) return false;
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &bytes, &count);
    encoder.image_height = static_cast<JDIMENSION>(image.height);
    encoder.image_width = static_cast<JDIMENSION>(image.width);
    encoder.input_components = static_cast<int>(image.channels);
    encoder.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, quality, TRUE);
    jpeg_start_compress(&encoder, TRUE);
    const auto row_bytes = static_cast<std::size_t>(image.width * image.channels);
    while (encoder.next_scanline < encoder.image_height) {
      auto* row = const_cast<JSAMPROW>(&image.bytes[encoder.next_scanline * row_bytes]);
      jpeg_write_scanlines(&encoder, &row, 1);
    }
    jpeg_finish_compress(&encoder);
    return true;
  }
};

}  // namespace

std::string encode_jpeg(const Image& image, int quality) {
  JpegWriter writer;
  if (!writer.encode(image, quality)) writer.failure.raise("no JPEG can hold it");
  return {reinterpret_cast<const char*>(writer.bytes), writer.count};
}

}  // namespace bitstill
