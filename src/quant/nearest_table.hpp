// The search tables of quantization to given points (points_kernel.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bitstill {

/// The largest float <= (p + q) / 2.
inline float lower_middle(float p, float q) {
  const double middle = 0.5 * (static_cast<double>(p) + q);
  const auto rounded = static_cast<float>(middle);
  return rounded <= middle ? rounded
                           : std::nextafter(rounded, -std::numeric_limits<float>::infinity());
}

constexpr int kCells = 16;  // of [0, 1]
/// fl32(15 x + kCellMagic), rounded once, has the cell of x, 0 <= x <= 1, in its lowest four bits.
constexpr float kCellMagic = 12582912.0f;

/// Search tables: x belongs to p_i, i the number of thresholds below x; of equal points, i is any.
/// The search halves sixteen rows of `width` points each. Where x is known to lie in [0, 1], its
/// cell leaves few rows: thresholds of lower cells are below x, those of higher ones are not.
struct NearestTable {
  NearestTable(const float* points, int count) {
    for (int j = 0; j < count; ++j) {
      const bool equal = j > 0 && points[j] == points[j - 1];
      codes[j] = equal ? codes[j - 1] : j;
      values[j] = points[codes[j]];
      distinct = distinct && !equal;
      if (j > 0) thresholds[j - 1] = lower_middle(points[j - 1], points[j]);
    }
    for (int j = count - 1; j < 256; ++j) thresholds[j] = std::numeric_limits<float>::infinity();
    while (16 * width < count) width *= 2;
    for (int i = 0; i < 16; ++i) rows[i] = thresholds[width * i + width - 1];
    for (int i = 0; i < 13; ++i) rows_from_3[i] = rows[i + 3];
    for (int i = 0; i < 15; ++i) rows_from_1[i] = rows[i + 1];
    rows_from_1[15] = std::numeric_limits<float>::infinity();  // no step from the last row
    if (width == 1) fill_cells(count - 1);
  }

  int width = 1;               // a power of two
  bool distinct = true;        // codes[i] == i
  bool narrow = false;         // width is 1 and a cell has at most three thresholds
  alignas(64) float rows[16];  // thresholds between rows; the last: infinite where width is 1
  alignas(64) float rows_from_3[16] = {};
  alignas(64) float rows_from_1[16] = {};
  alignas(64) int32_t below[kCells] = {};  // of a cell: how many thresholds are in lower ones
  alignas(64) float thresholds[256];       // infinite from the last point on
  alignas(64) float values[256] = {};      // the points; equal ones as the lowest of them
  alignas(64) int32_t codes[256] = {};     // the lowest index of an equal point

 private:
  void fill_cells(int threshold_count) {
    int inside[kCells] = {};
    for (int i = 0; i < threshold_count; ++i) {
      const float x =
          std::clamp(thresholds[i], -1.0f, 2.0f);  // below the first cell or above the last
      const auto cell = static_cast<int>(std::fma(x, kCells - 1.0f, kCellMagic) - kCellMagic);
      for (int c = std::max(cell + 1, 0); c < kCells; ++c) ++below[c];
      if (cell >= 0 && cell < kCells) ++inside[cell];
    }
    narrow = *std::max_element(inside, inside + kCells) <= 3;
  }
};

}  // namespace bitstill
