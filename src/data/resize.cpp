#include "bitstill/data/resize.hpp"

#include <algorithm>
#include <vector>

#include "resize_kernel.hpp"

namespace bitstill {

struct CropResizer::State {
  FixedTaps rows, columns;
  std::vector<uint8_t> strip, turned;
};

CropResizer::CropResizer() : state_(std::make_unique<State>()) {}
CropResizer::~CropResizer() = default;

void CropResizer::resize_crop(const PixelView& pixels, const Crop& crop, uint8_t* target) {
  State& state = *state_;
  state.rows.fill(crop.rows);
  state.columns.fill(crop.columns);
  // [h, w, channels] -> [w, channels, rows] -> [channels, rows, columns]
  const int64_t bytes = pixels.width * pixels.channels, column = pixels.channels * crop.rows.count;
  state.turned.resize(static_cast<std::size_t>(pixels.width * column));
  state.strip.resize(static_cast<std::size_t>(kStrip * std::max(bytes, column)));
  stretch_and_turn({pixels.pixels, pixels.row_bytes, bytes, &state.rows, false, state.strip.data(),
                    state.turned.data()});
  stretch_and_turn(
      {state.turned.data(), column, column, &state.columns, crop.flip, state.strip.data(), target});
}

void resize_crop_reference(const PixelView& pixels, const Crop& crop, uint8_t* target) {
  const int64_t top = source_range(crop.rows).first, left = source_range(crop.columns).first;
  Taps rows, columns;
  for (int64_t c = 0; c < pixels.channels; ++c) {
    for (int64_t y = 0; y < crop.rows.count; ++y) {
      find_taps(crop.rows, y, &rows);
      for (int64_t x = 0; x < crop.columns.count; ++x) {
        find_taps(crop.columns, crop.flip ? crop.columns.count - 1 - x : x, &columns);
        const uint8_t* row = pixels.pixels + (rows.first - top) * pixels.row_bytes +
                             (columns.first - left) * pixels.channels + c;
        double sum = 0.5;
        for (const double down : rows.shares) {
          const uint8_t* pixel = row;
          for (const double across : columns.shares) {
            sum += down * across * *pixel;
            pixel += pixels.channels;
          }
          row += pixels.row_bytes;
        }
        *target++ = static_cast<uint8_t>(sum);
      }
    }
  }
}

}  // namespace bitstill
