#include "bitstill/model/network.hpp"

#include <ATen/ops/cat.h>

#include <unordered_set>

namespace bitstill {

bool Unit::describe(Program& /*program*/) const {
  return false;
}

void Unit::pass(Flow& flow, const ForwardMode& mode) {
  flow.x = forward(flow.x, mode);
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

at::Tensor Network::hidden(const Tokens& tokens, const ForwardMode& mode) const {
  Flow flow;
  flow.tokens = &tokens;
  for (std::size_t i = 0; i + 1 < units_.size(); ++i) units_[i]->pass(flow, mode);
  return rows_of(flow);
}

at::Tensor Network::rows_of(const Flow& flow) {
  return flow.x.flatten(0, 1).index_select(0, flow.tokens->rows);
}

at::Tensor Network::head(const at::Tensor& rows, const ForwardMode& mode) const {
  if (!mode.training && rows.size(0) == 1) return head(at::cat({rows, rows}), mode).narrow(0, 0, 1);
  return units_.back()->forward(rows, mode);
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

}  // namespace bitstill
