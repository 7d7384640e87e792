#include "layers.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mkldnn_convolution.h>

#include "onednn.hpp"

namespace bitstill {
namespace {

/// LibTorch's fp32 linear and 1x1 convolution answer a row otherwise among more rows or at another
/// place among them; in evaluation oneDNN's are used, which do not.
bool must_not_depend_on_batch(const at::Tensor& x, const at::Tensor& weight,
                              const ForwardMode& mode) {
  const bool graph = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return !mode.training && !graph && x.numel() > 0 && x.is_cpu() && x.scalar_type() == at::kFloat &&
         !at::autocast::is_autocast_enabled(at::kCPU) && at::hasMKLDNN();
}

}  // namespace

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                       const Window& window, const ForwardMode& mode) {
  if (window.kernel > 1 || !must_not_depend_on_batch(x, weight, mode)) {
    // Larger ones are oneDNN's anyway.
    if (!x.is_cpu() || !at::autocast::is_autocast_enabled(at::kCPU)) {
      return at::conv2d(x, weight, bias, window.stride, window.padding);
    }
    const OnednnWindow asked(window, x.size(2), x.size(3));
    return at::conv2d(asked.pad(x), weight, bias, at::IntArrayRef(asked.stride),
                      at::IntArrayRef(asked.padding));
  }
  return at::mkldnn_convolution(x, weight, bias, window.padding, window.stride, 1, 1);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ForwardMode& mode) {
  if (!must_not_depend_on_batch(x, weight, mode)) return at::linear(x, weight, bias);
  return onednn_linear(x, onednn_linear_weight(weight.detach()), bias, false);
}

at::Tensor average_pool(const at::Tensor& x) {
  // Not mean(), whose order of adding depends on the batch and the threads.
  return at::avg_pool2d(x, {x.size(2), x.size(3)}).flatten(1);
}

}  // namespace bitstill
