// Weights of a convolution in bf16, as its kernels want them.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitstill {

/// weight [out, in, k, k] fp32, contiguous, on the CPU -> bf16, channels-last: in one pass what
/// mixed precision and the kernels do in three, of which two are slow. Its gradient becomes fp32.
at::Tensor bf16_weight(const at::Tensor& weight);

}  // namespace bitstill
