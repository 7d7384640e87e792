#include "onednn.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/ops/constant_pad_nd.h>

#include <algorithm>

namespace bitstill {

at::Tensor onednn(const char* name, std::vector<c10::IValue> arguments, const char* overload) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
  op.callBoxed(&arguments);
  return arguments.at(0).toTensor();
}

int64_t onednn_bytes(const at::Tensor& tensor) {
  std::vector<c10::IValue> arguments = {tensor};
  c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_nbytes", "").callBoxed(&arguments);
  return arguments.at(0).toInt();
}

OnednnWindow::OnednnWindow(const Window& window, int64_t height, int64_t width)
    : padding(2, window.padding), stride(2, window.stride) {
  const bool one_column = window.places(width) == 1;
  const bool strides = one_column && window.stride > 1 && window.kernel > 1;
  if (!strides && window.padding <= std::min(height, width)) return;
  margins.assign(4, window.padding);
  padding.assign(2, 0);
  if (!one_column) return;
  margins[1] = window.kernel - window.padding - width;  // negative: what the kernel never meets
  stride[1] = 1;
}

at::Tensor OnednnWindow::pad(const at::Tensor& x, double zero) const {
  return margins.empty() ? x : at::constant_pad_nd(x, margins, zero);
}

at::Tensor onednn_linear_weight(const at::Tensor& weight) {
  return onednn("mkldnn::_reorder_linear_weight", {weight, kUsualBatch});
}

at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         bool relu) {
  return onednn("mkldnn::_linear_pointwise",
                {x, weight, bias, onednn_after(relu), no_scalars(), ""});
}

}  // namespace bitstill
