// One image outside a shard: decoded, turned upright, and fitted to a shard's shape.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "bitstill/data/crop.hpp"
#include "bitstill/data/image_shape.hpp"

namespace bitstill {

/// Interleaved [height, width, channels] with 1 (grey) or 3 (RGB) channels.
struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> bytes;
};

/// --most-pixels unless it is given, about 3 s of decoding: a camera of 50 megapixels.
constexpr int64_t kMostPixels = 50'000'000;

/// A JPEG (grey, colour, CMYK) or PNG (any depth and colour type, interlaced; transparent parts lie
/// on black), turned as its EXIF orientation says. Error(data) with the reason alone when it cannot
/// be read whole, also when it is truncated, and before any pixel is decoded when its header
/// announces more than `most_pixels`: a small file can announce any size.
Image decode_image(std::string_view file, int64_t most_pixels = kMostPixels);

/// The image as [C,H,W] of `shape`: grey by the luma weights of ITU-R BT.601, scaled until it
/// covers height x width (a triangle filter, widened when shrinking), and the centre of that.
void fit_image(const Image& image, const ImageShape& shape, uint8_t* pixels);

/// The image as [channels, crop.size, crop.size], as centre_crop has it: what evaluation makes of
/// the same image in a shard.
void cut_centre(const Image& image, int64_t channels, const CropOptions& crop, uint8_t* pixels);

}  // namespace bitstill
