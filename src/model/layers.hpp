// Convolutions and linear layers of units. In evaluation a sample's answer does not depend, to the
// bit, on the others of its batch, nor on its place among them.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/model/network.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// x [n, in, H, W], weight [out, in, k, k], bias [out] or undefined.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       const Window& window, const ForwardMode& mode);
/// x [n, in], weight [out, in], bias [out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ForwardMode& mode);
/// x [n, C, H, W] -> [n, C].
at::Tensor average_pool(const at::Tensor& x);

}  // namespace bitstill
