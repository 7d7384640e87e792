#include "onednn.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

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

at::Tensor onednn_linear_weight(const at::Tensor& weight) {
  return onednn("mkldnn::_reorder_linear_weight", {weight, kUsualBatch});
}

at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         bool relu) {
  return onednn("mkldnn::_linear_pointwise",
                {x, weight, bias, onednn_after(relu), no_scalars(), ""});
}

}  // namespace bitstill
