#include "bitstill/data/crop.hpp"

#include <algorithm>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "draws.hpp"
#include "resize_taps.hpp"

namespace bitstill {
namespace {

constexpr int kTries = 10;
constexpr int64_t kLargestSize = 4096;  // as an ImageShape's sides

void check_range(const char* name, const std::vector<double>& range, double most) {
  if (range.size() == 2 && range[0] > 0 && range[0] <= range[1] && range[1] <= most) return;
  throw Error(ExitCode::settings, concat("data.", name, ": give the least and the largest, above 0",
                                         " and at most ", most, ", as 0.5,1"));
}

/// To the nearest, ties to even, as Python rounds.
int64_t rounded(double value) {
  return static_cast<int64_t>(std::nearbyint(value));
}

/// The largest central part within the ratios.
CropBox central_box(int64_t height, int64_t width, const CropOptions& options) {
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  CropBox box{0, 0, width, height};
  if (ratio < options.ratio[0]) {
    box.height = rounded(static_cast<double>(width) / options.ratio[0]);
  } else if (ratio > options.ratio[1]) {
    box.width = rounded(static_cast<double>(height) * options.ratio[1]);
  }
  box.width = std::clamp<int64_t>(box.width, 1, width);
  box.height = std::clamp<int64_t>(box.height, 1, height);
  box.left = (width - box.width) / 2;
  box.top = (height - box.height) / 2;
  return box;
}

CropBox random_box(int64_t height, int64_t width, const CropOptions& options,
                   RandomStream* stream) {
  const double area = static_cast<double>(height) * static_cast<double>(width);
  const double least = std::log(options.ratio[0]), largest = std::log(options.ratio[1]);
  for (int i = 0; i < kTries; ++i) {
    const double part = area * uniform(stream, options.scale[0], options.scale[1]);
    const double ratio = std::exp(uniform(stream, least, largest));
    CropBox box{0, 0, rounded(std::sqrt(part * ratio)), rounded(std::sqrt(part / ratio))};
    if (box.width < 1 || box.width > width || box.height < 1 || box.height > height) continue;
    box.top = static_cast<int64_t>(stream->below(static_cast<uint64_t>(height - box.height + 1)));
    box.left = static_cast<int64_t>(stream->below(static_cast<uint64_t>(width - box.width + 1)));
    return box;
  }
  return central_box(height, width, options);
}

}  // namespace

void check(const CropOptions& options) {
  const auto refuse = [](const std::string& what) { throw Error(ExitCode::settings, what); };
  if (options.crop == CropKind::none) return;
  if (options.size < 1 || options.size > kLargestSize) {
    refuse(concat("data.size = ", options.size, ": give 1 to ", kLargestSize));
  }
  if (options.resize != 0 && (options.resize < options.size || options.resize > 2 * kLargestSize)) {
    refuse(concat("data.resize = ", options.resize, ": give 0 or data.size (", options.size,
                  ") to ", 2 * kLargestSize));
  }
  check_range("scale", options.scale, 1);
  check_range("ratio", options.ratio, 100);
}

bool draw_flip(uint64_t seed, int64_t variant, int64_t row) {
  return (stream_of(seed, Drawn::place, row, variant).next() >> 31) != 0;
}

Crop random_crop(int64_t height, int64_t width, const CropOptions& options, uint64_t seed,
                 int64_t variant, int64_t row) {
  RandomStream stream = stream_of(seed, Drawn::place, row, variant);
  stream.next();  // draw_flip's
  const CropBox box = random_box(height, width, options, &stream);
  return {{box.top, box.height, options.size, 0, options.size},
          {box.left, box.width, options.size, 0, options.size}};
}

Crop centre_crop(int64_t height, int64_t width, const CropOptions& options) {
  const int64_t shorter = std::min(height, width);
  const auto stretch = [&](int64_t side) {
    const int64_t scaled = options.resize * side / shorter;
    const int64_t begin = rounded(static_cast<double>(scaled - options.size) / 2);
    return Stretch{0, side, scaled, begin, options.size};
  };
  return {stretch(height), stretch(width)};
}

Crop shrunk(Crop crop) {
  for (int64_t shrink = 8; shrink > 1; shrink /= 2) {
    if (crop.rows.source >= shrink * crop.rows.scaled &&
        crop.columns.source >= shrink * crop.columns.scaled) {
      crop.rows.shrink = crop.columns.shrink = shrink;
      break;
    }
  }
  return crop;
}

CropBox source_box(const Crop& crop) {
  const auto [top, bottom] = source_range(crop.rows);
  const auto [left, right] = source_range(crop.columns);
  return {left, top, right - left, bottom - top};
}

}  // namespace bitstill
