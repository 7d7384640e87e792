// Kernels of a training step's ReLU -> batch norm [-> 2x2 max-pool], and of batch norm [-> add] ->
// ReLU, on bfloat16 activations whose channel varies fastest ([n, C], or [n, C, H, W]
// channels-last), with fp32 statistics. Every kernel has a slow twin in double precision,
// NAME_reference.
#pragma once

#include <cstdint>

namespace bitstill {

/// Rows of `channels` bfloat16 values (as bits): pixels, or samples.
struct Bf16Rows {
  const uint16_t* values;
  int64_t rows, channels;
};

/// Images [count, height, width, channels], and their pools [count, height / 2, width / 2,
/// channels]. The last row (column) of an odd height (width) is in no pool.
struct PooledImages {
  int64_t count, height, width, channels;
  int64_t pixels() const { return height * width * channels; }
  int64_t pooled() const { return (height / 2) * (width / 2) * channels; }
};

/// One channel's dx = x > 0 ? by_dy dy + by_x (x - mean) + constant : 0; each array [channels].
struct NormGradient {
  const float *mean, *by_dy, *by_x, *constant;
};

/// sums[c] = the sum over rows of ReLU(x) - mean, or of its square. For some 10,000 values at a
/// time: sums are fp32.
void relu_sums(const Bf16Rows& x, const float* mean, float* sums);
void relu_squares(const Bf16Rows& x, const float* mean, float* sums);

/// y = (ReLU(x) - mean) scale + bias, rounded to the nearest bfloat16.
void relu_normalize(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    uint16_t* y);

/// picked = the value of the four of a pool that is largest after ReLU (flip[c] = 0), or smallest
/// (flip[c] = 0x7FFF: where the norm's scale is negative); `where`: its number 0..3, rows first,
/// the lower one where equal.
void relu_pool(const uint16_t* x, const PooledImages& images, const uint16_t* flip,
               uint16_t* picked, uint16_t* where);

/// dy_sums[c] = the sum of dy; dyx_sums[c] = that of dy (ReLU(x) - mean). As relu_sums.
void gradient_sums(const Bf16Rows& x, const uint16_t* dy, const float* mean, float* dy_sums,
                   float* dyx_sums);

/// dx by NormGradient; of pooled images, dy is that of the pools and counts where it was picked.
void relu_norm_gradient(const Bf16Rows& x, const uint16_t* dy, const NormGradient& gradient,
                        uint16_t* dx);
void relu_norm_pool_gradient(const uint16_t* x, const PooledImages& images, const uint16_t* dy,
                             const uint16_t* where, const NormGradient& gradient, uint16_t* dx);

/// As relu_sums and relu_squares, without ReLU.
void plain_sums(const Bf16Rows& x, const float* mean, float* sums);
void plain_squares(const Bf16Rows& x, const float* mean, float* sums);

/// y = ReLU((x - mean) scale + bias [+ added]); added like x, or null.
void normalize_relu(const Bf16Rows& x, const float* mean, const float* scale, const float* bias,
                    const uint16_t* added, uint16_t* y);

/// As gradient_sums, without ReLU; dy counts as 0 where y is 0.
void normalize_relu_sums(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                         const float* mean, float* dy_sums, float* dyx_sums);
/// Where y is 0, dy counts as 0. dx = by_dy dy + by_x (x - mean) + constant; dadded = dy, or null.
void normalize_relu_gradient(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                             const NormGradient& gradient, uint16_t* dx, uint16_t* dadded);

void relu_sums_reference(const Bf16Rows& x, const float* mean, float* sums);
void relu_squares_reference(const Bf16Rows& x, const float* mean, float* sums);
void relu_normalize_reference(const Bf16Rows& x, const float* mean, const float* scale,
                              const float* bias, uint16_t* y);
void relu_pool_reference(const uint16_t* x, const PooledImages& images, const uint16_t* flip,
                         uint16_t* picked, uint16_t* where);
void gradient_sums_reference(const Bf16Rows& x, const uint16_t* dy, const float* mean,
                             float* dy_sums, float* dyx_sums);
void relu_norm_gradient_reference(const Bf16Rows& x, const uint16_t* dy,
                                  const NormGradient& gradient, uint16_t* dx);
void relu_norm_pool_gradient_reference(const uint16_t* x, const PooledImages& images,
                                       const uint16_t* dy, const uint16_t* where,
                                       const NormGradient& gradient, uint16_t* dx);
void plain_sums_reference(const Bf16Rows& x, const float* mean, float* sums);
void plain_squares_reference(const Bf16Rows& x, const float* mean, float* sums);
void normalize_relu_reference(const Bf16Rows& x, const float* mean, const float* scale,
                              const float* bias, const uint16_t* added, uint16_t* y);
void normalize_relu_sums_reference(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                                   const float* mean, float* dy_sums, float* dyx_sums);
void normalize_relu_gradient_reference(const Bf16Rows& x, const uint16_t* y, const uint16_t* dy,
                                       const NormGradient& gradient, uint16_t* dx,
                                       uint16_t* dadded);

}  // namespace bitstill
