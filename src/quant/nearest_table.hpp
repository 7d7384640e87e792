// The search tables of quantization to given points (points_kernel.hpp).
#pragma once

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

/// Search tables: x belongs to p_i, i the number of thresholds below x; of equal points, i is any.
/// The search halves sixteen rows of `width` points each.
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
  }

  int width = 1;               // a power of two
  bool distinct = true;        // codes[i] == i
  alignas(64) float rows[16];  // the thresholds between rows; the last one is not used
  alignas(64) float rows_from_3[16] = {};
  alignas(64) float rows_from_1[16] = {};
  alignas(64) float thresholds[256];    // infinite from the last point on
  alignas(64) float values[256] = {};   // the points; equal ones as the lowest of them
  alignas(64) int32_t codes[256] = {};  // the lowest index of an equal point
};

}  // namespace bitstill
