// Batch normalization over the channels (dimension 1) of [n, C] or [n, C, H, W].
#pragma once

#include <string>
#include <utility>

#include "bitstill/model/network.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// Not a unit: a part of blocks. Keeps nothing between calls but what Buffer::statistics says.
struct BatchNorm {
  static constexpr double kEpsilon = 1e-5;

  /// Named prefix.weight, prefix.bias, prefix.running_mean, prefix.running_var.
  BatchNorm(const std::string& prefix, int64_t channels, const c10::Device& device = c10::kCPU);

  /// Training: by this batch's statistics, which are written to mean.statistics (mean) and
  /// variance.statistics (unbiased); zeros when the batch is empty. Evaluation: by the values.
  /// With mode.sum_over_ranks the batch is that of all ranks together; then the forward and its
  /// backward each sum over ranks once, and the values of `mean` must be equal on all ranks.
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode);

  /// ReLU, then forward() [, then a 2x2 max-pool]; x may be overwritten. On the CPU, without a
  /// graph in fp32: one pass; in training in bfloat16: relu_norm().
  at::Tensor forward_relu(at::Tensor& x, const ForwardMode& mode, bool pool = false);

  /// forward() [+ added], then ReLU. On the CPU in training in bfloat16: norm_relu().
  at::Tensor forward_add_relu(const at::Tensor& x, const at::Tensor& added,
                              const ForwardMode& mode);

  /// Evaluation is x scale + shift: the two, [C].
  std::pair<at::Tensor, at::Tensor> scale_and_shift() const;
  NormNames names() const;

  Parameter weight, bias;
  Buffer mean, variance;
};

}  // namespace bitstill
