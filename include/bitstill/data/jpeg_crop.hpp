// Part of a JPEG as training needs it: only the crop is decoded, its bytes those of the whole.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace bitstill {

/// Pixels of a picture: `height` rows from `top` on, `width` columns from `left` on.
struct CropBox {
  int64_t left = 0, top = 0, width = 0, height = 0;
  bool operator==(const CropBox&) const = default;
};

/// `channels`: 1 grey, 3 colour, 4 CMYK.
struct JpegSize {
  int64_t height = 0, width = 0, channels = 0;
  bool operator==(const JpegSize&) const = default;
};

/// As the file's header says, without a decoder. Error(data) with the reason alone where it says
/// none, or no pixel.
JpegSize read_jpeg_size(std::span<const uint8_t> file);

/// Interleaved rows [height, width, channels] in somebody else's memory.
struct PixelView {
  const uint8_t* pixels = nullptr;
  int64_t height = 0, width = 0, channels = 0;
  int64_t row_bytes = 0;  // from a row's first byte to the next row's
};

/// Reads one JPEG after the other in the same memory; one a thread.
class JpegDecoder {
 public:
  JpegDecoder();
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  /// The box, byte for byte as decoding the whole file gives it, with 1 (grey: luma) or 3 (RGB)
  /// channels, whichever the file has. shrink 2, 4, 8: of the picture at 1 / shrink, its sides
  /// rounded up, as the box counts. Valid until the next call. Error(data) with the reason
  /// alone: damage on the way to the box (what is not needed is not looked at: shards are made of
  /// files that were decoded whole), CMYK, more than kMostPixels, or the box leaves the picture.
  PixelView decode_crop(std::span<const uint8_t> file, const CropBox& box, int64_t channels,
                        int64_t shrink = 1);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitstill
