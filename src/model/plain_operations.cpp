#include "plain_operations.hpp"

#include <ATen/ops/add.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include "layers.hpp"

namespace bitstill {

bool has_weights(const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::convolution:
    case OperationKind::linear:
    case OperationKind::norm:
      return true;
    default:
      return false;
  }
}

at::Tensor compute(const Operation& operation, const std::vector<at::Tensor>& values) {
  const auto value = [&](std::size_t i) {
    return values[static_cast<std::size_t>(operation.inputs[i])];
  };
  const Window& window = operation.window;
  switch (operation.kind) {
    case OperationKind::add: {
      at::Tensor sum = at::add(value(0), value(1));
      return operation.relu ? at::relu_(sum) : sum;
    }
    case OperationKind::max_pool:
      return at::max_pool2d(value(0), window.kernel, window.stride, window.padding);
    case OperationKind::average_pool:
      return average_pool(value(0));
    default:
      return at::relu(value(0));
  }
}

}  // namespace bitstill
