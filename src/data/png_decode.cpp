// PNG by libpng, all to 8-bit grey or RGB.
#include <png.h>

#include <cstring>
#include <string>
#include <vector>

#include "bitstill/base/error.hpp"
#include "decoders.hpp"

namespace bitstill {
namespace {

/// What libpng reads, and what it says when it cannot.
struct PngInput {
  std::string_view file;
  std::size_t at = 0;
  std::string reason;
};

void png_fail(png_structp png, png_const_charp message) {
  static_cast<PngInput*>(png_get_error_ptr(png))->reason = message;
  png_longjmp(png, 1);
}

void png_ignore(png_structp, png_const_charp) {}

void png_feed(png_structp png, png_bytep target, std::size_t count) {
  auto* input = static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input->file.size() - input->at) png_error(png, "it is truncated");
  std::memcpy(target, input->file.data() + input->at, count);
  input->at += count;
}

/// A PNG being read. Its methods return false where libpng gave up: its longjmp passes over no
/// object of ours that has a destructor.
struct PngReader {
  PngInput input;
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 width = 0, height = 0;
  int channels = 0;
  int orientation = 1;

  explicit PngReader(std::string_view file) : input{file, 0, {}} {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, png_fail, png_ignore);
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr) throw Error(ExitCode::environment, "libpng cannot start");
    png_set_read_fn(png, &input, png_feed);
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  /// Everything to 8 bits a channel: grey, grey + alpha, RGB or RGB + alpha.
  bool read_header() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_user_limits(png, 1 << 20, 1 << 20);
    png_read_info(png, info);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    width = png_get_image_width(png, info);
    height = png_get_image_height(png, info);
    channels = png_get_channels(png, info);
    return true;
  }

  bool read_rows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_read_image(png, rows);
    png_read_end(png, info);
    png_bytep exif = nullptr;
    png_uint_32 exif_bytes = 0;
    if (png_get_eXIf_1(png, info, &exif_bytes, &exif) != 0) {
      orientation = tiff_orientation({reinterpret_cast<const char*>(exif), exif_bytes});
    }
    return true;
  }
};

/// Blends a last alpha channel with black away.
void drop_alpha(Image* image) {
  const auto colours = static_cast<std::size_t>(image->channels - 1);
  const auto pixels = static_cast<std::size_t>(image->height * image->width);
  uint8_t* to = image->bytes.data();
  const uint8_t* from = to;
  for (std::size_t i = 0; i < pixels; ++i, from += colours + 1) {
    const int alpha = from[colours];
    for (std::size_t c = 0; c < colours; ++c) {
      *to++ = static_cast<uint8_t>((from[c] * alpha + 127) / 255);
    }
  }
  image->channels -= 1;
  image->bytes.resize(pixels * colours);
}

[[noreturn]] void refuse(const PngReader& reader) {
  throw Error(ExitCode::data, "damaged PNG: " + reader.input.reason);
}

}  // namespace

Decoded decode_png(std::string_view file, int64_t most_pixels) {
  PngReader reader(file);
  if (!reader.read_header()) refuse(reader);
  check_size(reader.height, reader.width, most_pixels);
  Image image{reader.height, reader.width, reader.channels, {}};
  const auto row_bytes = static_cast<std::size_t>(image.width * image.channels);
  image.bytes.resize(row_bytes * reader.height);
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < reader.height; ++y) rows.push_back(&image.bytes[y * row_bytes]);
  if (!reader.read_rows(rows.data())) refuse(reader);
  if (image.channels == 2 || image.channels == 4) drop_alpha(&image);
  return {std::move(image), reader.orientation};
}

}  // namespace bitstill
