// A training step's ReLU -> batch norm [-> 2x2 max-pool] in bfloat16 as one node of the graph.
#pragma once

#include "bitstill/model/batch_norm.hpp"

namespace bitstill {

/// Whether neighbours in memory are channels: [n, C], or [n, C, H, W] channels-last.
bool channels_fastest(const at::Tensor& x);

/// Whether relu_norm() takes x: bfloat16 on the CPU, and the channel varies fastest.
bool takes_relu_norm(const at::Tensor& x);

/// As BatchNorm::forward in training (statistics of this batch, kept in norm's buffers) of ReLU(x),
/// then the pool. Statistics and the gradients of weight and bias are fp32; x is kept for the
/// backward pass and must not change until then.
at::Tensor relu_norm(const at::Tensor& x, BatchNorm& norm, bool pool);

}  // namespace bitstill
