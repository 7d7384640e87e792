#include "bitstill/model/network.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <unordered_set>

#include "bitstill/base/random.hpp"

namespace bitstill {

bool Unit::describe(Program& /*program*/) const {
  return false;
}

Network::Network(NetworkSpec spec, std::vector<std::unique_ptr<Unit>> units)
    : spec_(std::move(spec)), units_(std::move(units)) {
  std::unordered_set<const c10::TensorImpl*> seen;
  for (const auto& unit : units_) {
    for (Parameter* parameter : unit->parameters()) {
      if (seen.insert(parameter->value.unsafeGetTensorImpl()).second) {
        parameters_.push_back(parameter);
      }
    }
    for (Buffer* buffer : unit->buffers()) buffers_.push_back(buffer);
  }
}

int64_t Network::parameter_count() const {
  int64_t count = 0;
  for (const Parameter* parameter : parameters_) count += parameter->value.numel();
  return count;
}

at::Tensor Network::forward(at::Tensor x, const ForwardMode& mode) const {
  // Alone in its batch a sample would be summed in another order.
  if (!mode.training && x.size(0) == 1) return forward(at::cat({x, x}), mode).narrow(0, 0, 1);
  for (const auto& unit : units_) x = unit->forward(x, mode);
  return x;
}

void Network::to(const at::Device& device) {
  // set_data keeps the tensor's identity, so tied parameters stay tied.
  for (Parameter* parameter : parameters_) parameter->value.set_data(parameter->value.to(device));
  for (Buffer* buffer : buffers_) {
    buffer->value.set_data(buffer->value.to(device));
    buffer->statistics.set_data(buffer->statistics.to(device));
  }
}

void Network::set_trainable(bool trainable) {
  for (Parameter* parameter : parameters_) parameter->value.set_requires_grad(trainable);
}

void initialize(Network& network, uint64_t seed) {
  const at::NoGradGuard no_gradient;
  for (Parameter* parameter : network.parameters()) {
    at::Tensor& value = parameter->value;
    if (parameter->role != ParameterRole::weight) {
      const bool scale =
          parameter->role == ParameterRole::norm && parameter->name.ends_with("weight");
      value.fill_(scale ? 1 : 0);
      continue;
    }
    // Xavier-uniform: fans are channels times the kernel's area. Drawn on the CPU, whatever the
    // device.
    const int64_t area = value.numel() / (value.size(0) * value.size(1));
    const auto fans = static_cast<double>((value.size(0) + value.size(1)) * area);
    const auto bound = static_cast<float>(std::sqrt(6.0 / fans));
    at::Tensor drawn = at::empty(value.sizes());
    float* number = drawn.mutable_data_ptr<float>();
    RandomStream stream(seed, StreamPurpose::initialization, parameter->name);
    for (int64_t i = 0; i < drawn.numel(); ++i) number[i] = (2 * stream.uniform() - 1) * bound;
    value.copy_(drawn);
  }
}

}  // namespace bitstill
