// JPEG by TurboJPEG, PNG by libpng, orientation from EXIF, all to 8-bit grey or RGB.
#include <png.h>
#include <turbojpeg.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostPixels = 100'000'000;  // a small file can announce any size

[[noreturn]] void refuse(const std::string& reason) {
  throw Error(ExitCode::data, reason);
}

void check_size(int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height * width > kMostPixels) {
    refuse(concat(height, "x", width, " pixels are none or more than ", kMostPixels));
  }
}

uint32_t number(std::string_view bytes, std::size_t at, std::size_t count, bool big_endian) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[at + (big_endian ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}

/// Tag 0x0112 of the first directory of a TIFF block, 1 where it is missing or not 1..8.
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

/// Walks a JPEG's segments up to the image data for the EXIF block.
int jpeg_orientation(std::string_view file) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  std::size_t at = 2;
  while (at + 4 <= file.size() && static_cast<unsigned char>(file[at]) == 0xFF) {
    const auto marker = static_cast<unsigned char>(file[at + 1]);
    if (marker == 0xFF) {  // padding
      ++at;
      continue;
    }
    const std::size_t length = number(file, at + 2, 2, true);
    if (marker == 0xDA || length < 2 || at + 2 + length > file.size()) return 1;
    const std::string_view content = file.substr(at + 4, length - 2);
    if (marker == 0xE1 && content.starts_with(kExif)) return tiff_orientation(content.substr(6));
    at += 2 + length;
  }
  return 1;
}

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

Image decode_jpeg(std::string_view file) {
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  if (!decoder) throw Error(ExitCode::environment, "TurboJPEG cannot start");
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, subsampling = 0, space = 0;
  if (tjDecompressHeader3(decoder.get(), bytes, file.size(), &width, &height, &subsampling,
                          &space) != 0) {
    refuse(concat("damaged JPEG: ", tjGetErrorStr2(decoder.get())));
  }
  check_size(height, width);
  const bool cmyk = space == TJCS_CMYK || space == TJCS_YCCK;
  const int format = space == TJCS_GRAY ? TJPF_GRAY : cmyk ? TJPF_CMYK : TJPF_RGB;
  Image image{height, width, tjPixelSize[format], {}};
  image.bytes.resize(static_cast<std::size_t>(image.height * image.width * image.channels));
  if (tjDecompress2(decoder.get(), bytes, file.size(), image.bytes.data(), width, 0, height, format,
                    TJFLAG_ACCURATEDCT) != 0) {
    // A warning tells of a file that ends early or is damaged; only one of them costs no pixel.
    const std::string reason = tjGetErrorStr2(decoder.get());
    if (tjGetErrorCode(decoder.get()) != TJERR_WARNING ||
        reason.find("extraneous bytes before marker") == std::string::npos) {
      refuse("damaged JPEG: " + reason);
    }
  }
  return cmyk ? from_cmyk(image) : image;
}

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

Image decode_png(std::string_view file, int* orientation) {
  PngReader reader(file);
  if (!reader.read_header()) refuse("damaged PNG: " + reader.input.reason);
  check_size(reader.height, reader.width);
  Image image{reader.height, reader.width, reader.channels, {}};
  const auto row_bytes = static_cast<std::size_t>(image.width * image.channels);
  image.bytes.resize(row_bytes * reader.height);
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < reader.height; ++y) rows.push_back(&image.bytes[y * row_bytes]);
  if (!reader.read_rows(rows.data())) refuse("damaged PNG: " + reader.input.reason);
  if (image.channels == 2 || image.channels == 4) drop_alpha(&image);
  *orientation = reader.orientation;
  return image;
}

/// The image as EXIF orientation 1..8 means it to be seen.
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

}  // namespace

Image decode_image(std::string_view file) {
  if (file.starts_with("\xFF\xD8")) {
    return turn_upright(decode_jpeg(file), jpeg_orientation(file));
  }
  if (file.starts_with("\x89PNG")) {
    int orientation = 1;
    Image image = decode_png(file, &orientation);
    return turn_upright(std::move(image), orientation);
  }
  refuse(file.empty() ? "empty file" : "neither a JPEG nor a PNG file");
}

}  // namespace bitstill
