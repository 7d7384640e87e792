// A training step's batch norm [-> add] -> ReLU in bfloat16 as one node of the graph.
#pragma once

#include "bitstill/model/batch_norm.hpp"

namespace bitstill {

/// ReLU(BatchNorm::forward in training (statistics of this batch, kept in norm's buffers) of x
/// [+ added]). x and `added`, where it is defined, are as takes_relu_norm() wants them, of one
/// shape. x and what is returned are kept for the backward pass and must not change until then.
at::Tensor norm_relu(const at::Tensor& x, BatchNorm& norm, const at::Tensor& added);

}  // namespace bitstill
