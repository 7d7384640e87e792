// Rows of a folded layer's weights, from a network's or file's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/model/piecewise.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// Some of a layer's output channels.
struct RowRange {
  int64_t first = 0, count = 0;
};

/// Channels of a layer's input and output, with those of ones, and how many weights of a row meet a
/// channel of the input.
struct LayerSize {
  LayerSize(const Program& folded, const Operation& layer);
  int64_t in = 0, out = 0, area = 0;
};

/// fp32 on the CPU: weight [count, in, k, k] or [count, in * area], bias [count]; of a norm its
/// scale and shift, [count] each.
struct FoldedRows {
  at::Tensor weight, bias;
};

/// `layer`: a convolution, linear layer or norm of `folded`. Reads these rows and the vectors of
/// the norms around them. A row's values do not depend on the others. Error(model) where a tensor
/// does not fit.
FoldedRows fold_rows(const Program& folded, const Operation& layer, RowRange rows,
                     TensorSource& source);

/// Why the weights cannot be folded so: a scale below zero before a pool. Else empty.
std::string obstacle_in_weights(const FoldedProgram& folded, TensorSource& source);

}  // namespace bitstill
