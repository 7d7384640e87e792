#include "bitstill/data/colour.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "draws.hpp"

namespace bitstill {
namespace {

uint8_t to_byte(double value) {  // cut off, as torchvision does
  return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0));
}

/// Every value of plane `c` becomes change(value).
template <class Change>
void change_plane(const ImageShape& shape, int64_t c, uint8_t* pixels, const Change& change) {
  std::array<uint8_t, 256> table;
  for (int value = 0; value < 256; ++value) {
    table[static_cast<std::size_t>(value)] = to_byte(change(value));
  }
  uint8_t* const plane = pixels + c * shape.height * shape.width;
  for (int64_t i = 0; i < shape.height * shape.width; ++i) plane[i] = table[plane[i]];
}

/// In whole levels.
int luma(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<int>(0.2989f * static_cast<float>(red) + 0.587f * static_cast<float>(green) +
                          0.114f * static_cast<float>(blue));
}

void jitter(const ImageShape& shape, double most, RandomStream* stream, uint8_t* pixels) {
  using Change = void (*)(const ImageShape&, double, uint8_t*);
  Change changes[] = {change_brightness, change_contrast, change_saturation};
  std::swap(changes[0], changes[stream->below(3)]);
  std::swap(changes[1], changes[1 + stream->below(2)]);
  for (const Change change : changes) {
    change(shape, uniform(stream, std::max(0.0, 1 - most), 1 + most), pixels);
  }
}

/// Torchvision's RandomErasing: 2 to 33 % of the area, sides 0.3 to 3.3 to one another.
void erase(const ImageShape& shape, const uint8_t* fill, RandomStream* stream, uint8_t* pixels) {
  constexpr int kTries = 10;
  const auto area = static_cast<double>(shape.height * shape.width);
  for (int i = 0; i < kTries; ++i) {
    const double part = area * uniform(stream, 0.02, 0.33);
    const double ratio = std::exp(uniform(stream, std::log(0.3), std::log(3.3)));
    const int64_t height = std::lround(std::sqrt(part * ratio));
    const int64_t width = std::lround(std::sqrt(part / ratio));
    if (height >= shape.height || width >= shape.width) continue;
    const auto top = stream->below(static_cast<uint64_t>(shape.height - height + 1));
    const auto left = stream->below(static_cast<uint64_t>(shape.width - width + 1));
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        const int64_t line = c * shape.height + static_cast<int64_t>(top) + y;
        std::memset(pixels + line * shape.width + left, fill[c], static_cast<std::size_t>(width));
      }
    }
    return;
  }
}

}  // namespace

bool changes(const ColourOptions& options) {
  return options.jitter > 0 || options.lighting > 0 || options.erase > 0;
}

void check(const ColourOptions& options) {
  const auto refuse = [](const char* name, double value, const char* range) {
    throw Error(ExitCode::settings, concat("data.", name, " = ", value, ": give ", range));
  };
  if (!(options.jitter >= 0 && options.jitter <= 1)) refuse("jitter", options.jitter, "0 to 1");
  if (!(options.lighting >= 0 && options.lighting <= 10)) {
    refuse("lighting", options.lighting, "0 to 10");
  }
  if (!(options.erase >= 0 && options.erase <= 1)) refuse("erase", options.erase, "0 to 1");
}

void change_brightness(const ImageShape& shape, double factor, uint8_t* pixels) {
  for (int64_t c = 0; c < shape.channels; ++c) {
    change_plane(shape, c, pixels, [&](int value) { return factor * value; });
  }
}

void change_contrast(const ImageShape& shape, double factor, uint8_t* pixels) {
  const int64_t area = shape.height * shape.width;
  int64_t sum = 0;
  for (int64_t i = 0; i < area; ++i) {
    sum +=
        shape.channels == 3 ? luma(pixels[i], pixels[area + i], pixels[2 * area + i]) : pixels[i];
  }
  const double mean = static_cast<double>(sum) / static_cast<double>(area);
  for (int64_t c = 0; c < shape.channels; ++c) {
    change_plane(shape, c, pixels, [&](int value) { return factor * value + (1 - factor) * mean; });
  }
}

void change_saturation(const ImageShape& shape, double factor, uint8_t* pixels) {
  if (shape.channels != 3) return;
  const int64_t area = shape.height * shape.width;
  const auto own = static_cast<float>(factor), other = static_cast<float>(1 - factor);
  uint8_t *const red = pixels, *const green = red + area, *const blue = green + area;
  for (int64_t i = 0; i < area; ++i) {
    const float grey = other * static_cast<float>(luma(red[i], green[i], blue[i]));
    const auto mixed = [&](uint8_t value) {
      return static_cast<uint8_t>(std::clamp(grey + own * static_cast<float>(value), 0.0f, 255.0f));
    };
    red[i] = mixed(red[i]);
    green[i] = mixed(green[i]);
    blue[i] = mixed(blue[i]);
  }
}

void change_lighting(const ImageShape& shape, const double* strengths, uint8_t* pixels) {
  // Of ImageNet's colours between 0 and 1 (Krizhevsky et al. 2012; axes in columns).
  constexpr double kDeviations[3] = {0.2175, 0.0188, 0.0045};
  constexpr double kAxes[3][3] = {
      {-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
  for (int64_t c = 0; c < 3 && shape.channels == 3; ++c) {
    double shift = 0.5;  // rounded, not cut off
    for (int k = 0; k < 3; ++k) shift += 255 * kAxes[c][k] * kDeviations[k] * strengths[k];
    change_plane(shape, c, pixels, [&](int value) { return value + shift; });
  }
}

void change_colours(const ImageShape& shape, const ColourOptions& options, const uint8_t* fill,
                    uint64_t seed, int64_t variant, int64_t row, uint8_t* pixels) {
  if (options.jitter > 0) {
    RandomStream stream = stream_of(seed, Drawn::jitter, row, variant);
    jitter(shape, options.jitter, &stream, pixels);
  }
  if (options.lighting > 0) {
    RandomStream stream = stream_of(seed, Drawn::lighting, row, variant);
    double strengths[3];
    for (double& strength : strengths) strength = options.lighting * normal(&stream);
    change_lighting(shape, strengths, pixels);
  }
  if (options.erase > 0) {
    RandomStream stream = stream_of(seed, Drawn::erasure, row, variant);
    if (uniform(&stream, 0, 1) < options.erase) erase(shape, fill, &stream, pixels);
  }
}

}  // namespace bitstill
