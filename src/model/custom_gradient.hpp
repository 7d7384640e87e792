// An operator of some tensors whose gradient is our own. Only
// custom_gradient.cpp includes LibTorch's header for such, which alone takes 5 s to compile.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace bitstill {

struct CustomResult {
  at::Tensor y;
  std::vector<at::Tensor> saved;  // inputs, intermediate tensors and y, for the backward
  /// dL/dy -> gradients of the inputs, in order; undefined: none. Must not capture tensors: those
  /// are `saved`.
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& saved, const at::Tensor& dy)>
      backward;
};

/// y of forward(), its backward a node in the graph; both run without recording.
at::Tensor custom_gradient(const std::vector<at::Tensor>& inputs,
                           const std::function<CustomResult()>& forward);

}  // namespace bitstill
