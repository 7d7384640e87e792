// How weights start: the rules that families choose from.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/base/random.hpp"

namespace bitstill {

// sizes: [out, in] or [out, in, k, k]; fp32 on the CPU. A fan is channels times the kernel's area.

/// Uniform in +-half, of any shape.
at::Tensor uniform(at::IntArrayRef sizes, double half, RandomStream& stream);
/// Uniform in +-gain sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010).
at::Tensor xavier_uniform(at::IntArrayRef sizes, double gain, RandomStream& stream);
/// Normal with variance 2 / fan out, for ReLU (He et al. 2015).
at::Tensor he_normal(at::IntArrayRef sizes, RandomStream& stream);
/// Uniform in +-1 / sqrt(fan in), as PyTorch's layers start.
at::Tensor fan_in_uniform(at::IntArrayRef sizes, RandomStream& stream);

}  // namespace bitstill
