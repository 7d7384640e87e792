// The slow twins of norm_kernel.cpp: one value at a time, in double precision.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "bitstill/model/norm_kernel.hpp"

namespace bitstill {
namespace {

double widened(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// To the nearest bfloat16, ties to even.
uint16_t rounded(double value) {
  if (std::isnan(value)) return 0x7FC0;
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

double relu(double value) {
  return value < 0 ? 0 : value;
}

template <class Term>
void sum(const Bf16Rows& x, float* sums, const Term& term) {
  for (int64_t c = 0; c < x.channels; ++c) {
    double total = 0;
    for (int64_t row = 0; row < x.rows; ++row) total += term(row * x.channels + c, c);
    sums[c] = static_cast<float>(total);
  }
}

double gradient_of(double x, double dy, const NormGradient& g, int64_t c) {
  if (x <= 0) return 0;
  return g.by_dy[c] * dy + g.by_x[c] * (x - g.mean[c]) + g.constant[c];
}

}  // namespace

void relu_sums_reference(const Bf16Rows& x, const float* mean, float* sums) {
  sum(x, sums, [&](int64_t i, int64_t c) { return relu(widened(x.values[i])) - mean[c]; });
}

void relu_squares_reference(const Bf16Rows& x, const float* mean, float* sums) {
  sum(x, sums, [&](int64_t i, int64_t c) {
    const double v = relu(widened(x.values[i])) - mean[c];
    return v * v;
  });
}

void relu_normalize_reference(const Bf16Rows& x, const float* mean, const float* scale,
                              const float* bias, uint16_t* y) {
  for (int64_t i = 0; i < x.rows * x.channels; ++i) {
    const int64_t c = i % x.channels;
    y[i] = rounded((relu(widened(x.values[i])) - mean[c]) * scale[c] + bias[c]);
  }
}

void relu_pool_reference(const uint16_t* x, const PooledImages& images, const uint16_t* flip,
                         uint16_t* picked, uint16_t* where) {
  const int64_t channels = images.channels, width = images.width;
  for (int64_t o = 0; o < images.count * images.pooled(); ++o) {
    const int64_t c = o % channels, pool = o / channels;
    const int64_t column = pool % (width / 2), y = pool / (width / 2) % (images.height / 2);
    const uint16_t* const image = x + o / images.pooled() * images.pixels();
    const double sign = flip[c] == 0 ? 1 : -1;
    double best = 0;
    for (int64_t k = 0; k < 4; ++k) {
      const uint16_t bits = image[((2 * y + k / 2) * width + 2 * column + k % 2) * channels + c];
      const double value = relu(widened(bits));
      if (k > 0 && sign * value <= best) continue;
      best = sign * value;
      picked[o] = value == 0 ? uint16_t{0} : bits;
      where[o] = static_cast<uint16_t>(k);
    }
  }
}

void gradient_sums_reference(const Bf16Rows& x, const uint16_t* dy, const float* mean,
                             float* dy_sums, float* dyx_sums) {
  sum(x, dy_sums, [&](int64_t i, int64_t) { return widened(dy[i]); });
  sum(x, dyx_sums, [&](int64_t i, int64_t c) {
    return widened(dy[i]) * (relu(widened(x.values[i])) - mean[c]);
  });
}

void relu_norm_gradient_reference(const Bf16Rows& x, const uint16_t* dy,
                                  const NormGradient& gradient, uint16_t* dx) {
  for (int64_t i = 0; i < x.rows * x.channels; ++i) {
    dx[i] = rounded(gradient_of(widened(x.values[i]), widened(dy[i]), gradient, i % x.channels));
  }
}

void relu_norm_pool_gradient_reference(const uint16_t* x, const PooledImages& images,
                                       const uint16_t* dy, const uint16_t* where,
                                       const NormGradient& gradient, uint16_t* dx) {
  const int64_t channels = images.channels, width = images.width;
  for (int64_t i = 0; i < images.count * images.pixels(); ++i) {
    const int64_t c = i % channels, column = i / channels % width;
    const int64_t y = i / channels / width % images.height, image = i / images.pixels();
    double g = 0;
    if (y / 2 < images.height / 2 && column / 2 < width / 2) {
      const int64_t o = image * images.pooled() + (y / 2 * (width / 2) + column / 2) * channels + c;
      if (where[o] == 2 * (y % 2) + column % 2) g = widened(dy[o]);
    }
    dx[i] = rounded(gradient_of(widened(x[i]), g, gradient, c));
  }
}

void plain_sums_reference(const Bf16Rows& x, const float* mean, float* sums) {
  sum(x, sums, [&](int64_t i, int64_t c) { return widened(x.values[i]) - mean[c]; });
}

void plain_squares_reference(const Bf16Rows& x, const float* mean, float* sums) {
  sum(x, sums, [&](int64_t i, int64_t c) {
    const double v = widened(x.values[i]) - mean[c];
    return v * v;
  });
}

void normalize_relu_reference(const Bf16Rows& x, const float* mean, const float* scale,
                              const float* bias, const uint16_t* added, uint16_t* y) {
  for (int64_t i = 0; i < x.rows * x.channels; ++i) {
    const int64_t c = i % x.channels;
    const double other = added == nullptr ? 0 : widened(added[i]);
    y[i] = rounded(relu((widened(x.values[i]) - mean[c]) * scale[c] + bias[c] + other));
  }
}

void normalize_relu_sums_reference(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                                   const float* mean, float* dy_sums, float* dyx_sums) {
  const auto given = [&](int64_t i) { return y[i] == 0 ? 0 : widened(dy[i]); };
  sum(x, dy_sums, [&](int64_t i, int64_t) { return given(i); });
  sum(x, dyx_sums,
      [&](int64_t i, int64_t c) { return given(i) * (widened(x.values[i]) - mean[c]); });
}

void normalize_relu_gradient_reference(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                                       const NormGradient& g, uint16_t* dx, uint16_t* dadded) {
  for (int64_t i = 0; i < x.rows * x.channels; ++i) {
    const int64_t c = i % x.channels;
    const double given = y[i] == 0 ? 0 : widened(dy[i]);
    dx[i] = rounded(g.by_dy[c] * given + g.by_x[c] * (widened(x.values[i]) - g.mean[c]) +
                    g.constant[c]);
    if (dadded != nullptr) dadded[i] = rounded(given);
  }
}

}  // namespace bitstill
