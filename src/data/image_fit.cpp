#include <algorithm>
#include <cmath>

#include "bitstill/data/image.hpp"
#include "bitstill/data/resize.hpp"

namespace bitstill {
namespace {

/// The grey or colour asked for, from the other.
Image with_channels(const Image& image, int64_t channels) {
  if (image.channels == channels) return image;
  Image result{image.height, image.width, channels, {}};
  const auto pixels = static_cast<std::size_t>(image.height * image.width);
  result.bytes.resize(pixels * static_cast<std::size_t>(channels));
  const uint8_t* from = image.bytes.data();
  uint8_t* to = result.bytes.data();
  for (std::size_t i = 0; i < pixels; ++i) {
    if (channels == 1) {
      *to++ = static_cast<uint8_t>((299 * from[0] + 587 * from[1] + 114 * from[2] + 500) / 1000);
    } else {
      for (int64_t c = 0; c < channels; ++c) *to++ = from[0];
    }
    from += image.channels;
  }
  return result;
}

/// The source pixels first, first+1, ... that make one target pixel, and their shares.
struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

/// Taps of each of `target` pixels, `step` source pixels apart, that show the centre of `source`.
std::vector<Taps> make_taps(int64_t source, int64_t target, double step) {
  // Whole target pixels are cropped, so that an image that needs no scaling is not blurred either.
  const double scaled = static_cast<double>(source) / step;
  const double begin = std::floor((scaled - static_cast<double>(target)) / 2 + 1e-9) * step;
  const double reach = std::max(step, 1.0);  // half the triangle's base, in source pixels
  std::vector<Taps> result(static_cast<std::size_t>(target));
  for (int64_t t = 0; t < target; ++t) {
    const double centre = begin + (static_cast<double>(t) + 0.5) * step - 0.5;
    const auto low = static_cast<int64_t>(std::floor(centre - reach)) + 1;
    const auto high = static_cast<int64_t>(std::ceil(centre + reach));  // one past the last
    Taps& taps = result[static_cast<std::size_t>(t)];
    taps.first = std::clamp<int64_t>(low, 0, source - 1);
    double sum = 0;
    std::vector<double> weights;
    for (int64_t i = taps.first; i < std::clamp<int64_t>(high, taps.first + 1, source); ++i) {
      weights.push_back(std::max(0.0, 1 - std::abs(static_cast<double>(i) - centre) / reach));
      sum += weights.back();
    }
    for (const double weight : weights) {
      taps.weights.push_back(static_cast<float>(sum > 0 ? weight / sum : 1));
    }
  }
  return result;
}

/// [H,W,C] bytes -> [H, target width, C] sums.
std::vector<float> resize_rows(const Image& image, const std::vector<Taps>& taps) {
  const int64_t channels = image.channels;
  std::vector<float> result;
  result.reserve(static_cast<std::size_t>(image.height * channels) * taps.size());
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* row = &image.bytes[static_cast<std::size_t>(y * image.width * channels)];
    for (const Taps& tap : taps) {
      for (int64_t c = 0; c < channels; ++c) {
        const uint8_t* from = row + tap.first * channels + c;
        float sum = 0;
        for (const float weight : tap.weights) {
          sum += weight * static_cast<float>(*from);
          from += channels;
        }
        result.push_back(sum);
      }
    }
  }
  return result;
}

}  // namespace

void fit_image(const Image& original, const ImageShape& shape, uint8_t* pixels) {
  const Image image = with_channels(original, shape.channels);
  if (image.height == shape.height && image.width == shape.width) {
    const auto values = image.bytes.size();
    const auto channels = static_cast<std::size_t>(shape.channels);
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t i = c; i < values; i += channels) *pixels++ = image.bytes[i];
    }
    return;
  }
  // Source pixels a target pixel: the same both ways, the largest that still covers the target.
  const double step =
      std::min(static_cast<double>(image.height) / static_cast<double>(shape.height),
               static_cast<double>(image.width) / static_cast<double>(shape.width));
  const std::vector<float> rows = resize_rows(image, make_taps(image.width, shape.width, step));
  const std::vector<Taps> taps = make_taps(image.height, shape.height, step);
  const int64_t row_values = shape.width * shape.channels;
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (const Taps& tap : taps) {
      for (int64_t x = 0; x < shape.width; ++x) {
        const float* from =
            &rows[static_cast<std::size_t>(tap.first * row_values + x * shape.channels + c)];
        float sum = 0;
        for (const float weight : tap.weights) {
          sum += weight * *from;
          from += row_values;
        }
        *pixels++ = static_cast<uint8_t>(std::clamp(std::lround(sum), 0L, 255L));
      }
    }
  }
}

void cut_centre(const Image& original, int64_t channels, const CropOptions& options,
                uint8_t* pixels) {
  const Image image = with_channels(original, channels);
  const Crop crop = centre_crop(image.height, image.width, options);
  const CropBox box = source_box(crop);
  const int64_t row_bytes = image.width * channels;
  const uint8_t* corner = image.bytes.data() + box.top * row_bytes + box.left * channels;
  CropResizer().resize_crop({corner, box.height, box.width, channels, row_bytes}, crop, pixels);
}

}  // namespace bitstill
