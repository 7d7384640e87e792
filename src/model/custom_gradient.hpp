// An operator of x, weight, bias [and what is added] whose gradient is our own. Only
// custom_gradient.cpp includes LibTorch's header for such, which alone takes 5 s to compile.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <vector>

namespace bitstill {

struct CustomResult {
  at::Tensor y;
  std::vector<at::Tensor> saved;  // inputs, intermediate tensors and y, for the backward
  /// dL/dy -> gradients of x, weight, bias [and added]. Must not capture tensors: those are
  /// `saved`.
  std::function<std::array<at::Tensor, 4>(const std::vector<at::Tensor>& saved,
                                          const at::Tensor& dy)>
      backward;
};

/// y of forward(), its backward a node in the graph; both run without recording.
at::Tensor custom_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const std::function<CustomResult()>& forward,
                           const at::Tensor& added = {});

}  // namespace bitstill
