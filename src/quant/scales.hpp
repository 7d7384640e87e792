// The scale of a bucket beyond plain min to max: absolute maximum, 2-norm, range of least error,
// half-precision scales.
#pragma once

#include <cstdint>

#include "bitstill/quant/options.hpp"

namespace bitstill {

/// The two numbers of a bucket: values lie at beta + alpha * point.
struct BucketScale {
  float alpha = 1, beta = 0;
};

/// linear: beta = min, alpha = max - min; range = error: [beta, beta + alpha] within that of least
/// squared error with `points` uniform points, values outside saturating; absmax, absnorm: alpha =
/// max|v|, |v|_2, beta = 0. alpha < 1e-10 becomes 1. fp16, bf16: the range rounded outward. Not
/// finite where the values or the rounded scale are not. values: `count` >= 1 of one bucket.
BucketScale scale_of_bucket(const QuantOptions& options, int64_t points, const float* values,
                            int64_t count);

}  // namespace bitstill
