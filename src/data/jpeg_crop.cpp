#include "bitstill/data/jpeg_crop.hpp"

#include <algorithm>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image.hpp"
#include "jpeg_failure.hpp"

namespace bitstill {
namespace {

/// Rows and columns around a box: the smooth upsampling of chroma looks one sample of it, two
/// pixels, to each side, and takes the border of what is decoded for the picture's.
constexpr int64_t kMargin = 2;

/// Where a part decodes as the whole does. Others (4:4:0, 4:1:1, ...) are upsampled in ways that
/// libjpeg does not take apart.
bool can_be_cut(const jpeg_decompress_struct& header) {
  if (header.num_components == 1) return true;
  const jpeg_component_info* of = header.comp_info;
  const bool first = of[0].v_samp_factor == 1
                         ? of[0].h_samp_factor <= 2
                         : of[0].h_samp_factor == 2 && of[0].v_samp_factor == 2;
  return header.num_components == 3 && first && of[1].h_samp_factor == 1 &&
         of[1].v_samp_factor == 1 && of[2].h_samp_factor == 1 && of[2].v_samp_factor == 1;
}

/// What is decoded: the box itself with its margins, or whole rows from the first one on.
CropBox decoded_part(const jpeg_decompress_struct& header, const CropBox& box) {
  if (!can_be_cut(header)) return {0, 0, header.output_width, box.top + box.height};
  const int64_t left = std::max<int64_t>(box.left - kMargin, 0);
  const int64_t top = std::max<int64_t>(box.top - kMargin, 0);
  const int64_t right = std::min<int64_t>(box.left + box.width + kMargin, header.output_width);
  return {left, top, right - left, box.top + box.height - top};
}

/// Start of frame; DHT, JPG and DAC are numbered among them.
bool begins_frame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/// Without a length behind it.
bool stands_alone(uint8_t marker) {
  return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
}

}  // namespace

JpegSize read_jpeg_size(std::span<const uint8_t> file) {
  const auto word = [&](std::size_t at) { return file[at] << 8 | file[at + 1]; };
  std::size_t at = 0;
  while (at + 4 <= file.size()) {
    if (file[at] != 0xFF || file[at + 1] == 0xFF || file[at + 1] == 0) {
      ++at;  // fill, or junk between segments
      continue;
    }
    const uint8_t marker = file[at + 1];
    at += 2;
    if (begins_frame(marker)) {
      if (at + 8 > file.size() || word(at + 3) == 0 || word(at + 5) == 0) break;
      return {word(at + 3), word(at + 5), file[at + 7]};
    }
    if (marker == 0xD9 || marker == 0xDA) break;  // end of image, start of scan
    if (!stands_alone(marker)) at += static_cast<std::size_t>(word(at));
  }
  throw Error(ExitCode::data, "damaged JPEG: its header has no size");
}

/// Its methods return false where libjpeg gave up: its longjmp passes over no object of ours that
/// has a destructor.
struct JpegDecoder::State {
  jpeg_decompress_struct decoder{};
  JpegFailure failure;
  std::vector<uint8_t> pixels;
  std::vector<JSAMPROW> rows;

  /// By a new decoder: tables of the picture before would stand in for those that this one lacks.
  bool read_header(std::span<const uint8_t> file, int64_t shrink) {
    if (setjmp(failure.back) != 0) return false;
    jpeg_destroy_decompress(&decoder);
    decoder.err = &failure.base;
    jpeg_create_decompress(&decoder);
    decoder.progress = &failure.progress;
    jpeg_mem_src(&decoder, file.data(), file.size());
    jpeg_read_header(&decoder, TRUE);
    decoder.scale_num = 1;
    decoder.scale_denom = static_cast<unsigned>(shrink);
    jpeg_calc_output_dimensions(&decoder);
    return true;
  }

  /// `part` grows to the left, to where libjpeg can begin.
  bool start(CropBox* part) {
    if (setjmp(failure.back) != 0) return false;
    decoder.dct_method = JDCT_ISLOW;
    decoder.do_block_smoothing = FALSE;  // looks far beyond a box, where scans are missing
    jpeg_start_decompress(&decoder);
    auto left = static_cast<JDIMENSION>(part->left), width = static_cast<JDIMENSION>(part->width);
    if (width < decoder.output_width) jpeg_crop_scanline(&decoder, &left, &width);
    part->left = left;
    part->width = width;
    return true;
  }

  bool read_rows(JDIMENSION top) {
    if (setjmp(failure.back) != 0) return false;
    if (top > 0) jpeg_skip_scanlines(&decoder, top);
    const auto count = static_cast<JDIMENSION>(rows.size());
    for (JDIMENSION done = 0; done < count;) {
      done += jpeg_read_scanlines(&decoder, rows.data() + done, count - done);
    }
    return true;
  }

  void check(const CropBox& box) const {
    if (static_cast<int64_t>(decoder.image_height) * decoder.image_width > kMostPixels) {
      throw Error(ExitCode::data, concat(decoder.image_height, "x", decoder.image_width,
                                         " pixels are more than a row's ", kMostPixels));
    }
    if (decoder.jpeg_color_space == JCS_CMYK || decoder.jpeg_color_space == JCS_YCCK) {
      throw Error(ExitCode::data, "a CMYK JPEG; bitstill shard makes it RGB");
    }
    if (box.left < 0 || box.top < 0 || box.width < 1 || box.height < 1 ||
        box.left + box.width > decoder.output_width ||
        box.top + box.height > decoder.output_height) {
      throw Error(ExitCode::data, concat("a box of ", box.height, "x", box.width, " pixels from ",
                                         box.top, ",", box.left, " on leaves a JPEG of ",
                                         decoder.output_height, "x", decoder.output_width));
    }
  }

  /// Room for `part`: what lies above the box goes where the box's first row will lie.
  void make_rows(const CropBox& part, const CropBox& box, std::size_t row_bytes) {
    pixels.resize(std::max(pixels.size(), row_bytes * static_cast<std::size_t>(box.height)));
    rows.clear();
    for (int64_t y = part.top; y < box.top; ++y) rows.push_back(pixels.data());
    for (int64_t y = 0; y < box.height; ++y) {
      rows.push_back(pixels.data() + static_cast<std::size_t>(y) * row_bytes);
    }
  }
};

JpegDecoder::JpegDecoder() : state_(std::make_unique<State>()) {}

JpegDecoder::~JpegDecoder() {
  jpeg_destroy_decompress(&state_->decoder);
}

PixelView JpegDecoder::decode_crop(std::span<const uint8_t> file, const CropBox& box,
                                   int64_t channels, int64_t shrink) {
  State& state = *state_;
  if (!state.read_header(file, shrink)) state.failure.raise();
  state.check(box);
  state.decoder.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  CropBox part = decoded_part(state.decoder, box);
  if (!state.start(&part)) state.failure.raise();
  const int64_t row_bytes = part.width * channels;
  state.make_rows(part, box, static_cast<std::size_t>(row_bytes));
  if (!state.read_rows(static_cast<JDIMENSION>(part.top))) state.failure.raise();
  return {state.pixels.data() + (box.left - part.left) * channels, box.height, box.width, channels,
          row_bytes};
}

}  // namespace bitstill
