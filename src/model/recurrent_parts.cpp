#include "recurrent_parts.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_thnn_fused_lstm_cell.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <limits>

namespace bitstill {
namespace {

Parameter weight_of(const std::string& name, int64_t out, int64_t in, const c10::Device& device) {
  return {name, ParameterRole::weight, at::zeros({out, in}, device)};
}

Parameter bias_of(const std::string& name, int64_t size, const c10::Device& device) {
  return {name, ParameterRole::bias, at::zeros({size}, device)};
}

/// Of gates = own + others: on a GPU one kernel, forward and backward.
LstmState after_gates(const at::Tensor& own, const at::Tensor& others, const at::Tensor& c) {
  if (own.is_cuda()) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const auto [h, next, unused] = at::_thnn_fused_lstm_cell(own, others, c);
    return {h, next};
  }
  const at::Tensor gates = own + others;
  const std::vector<at::Tensor> part = gates.chunk(4, 1);
  const at::Tensor next = at::sigmoid(part[1]) * c + at::sigmoid(part[0]) * at::tanh(part[2]);
  return {at::sigmoid(part[3]) * at::tanh(next), next};
}

at::Tensor recurrent_gates(const LstmLayer& layer, const at::Tensor& h) {
  return at::linear(h, layer.weight_hh.value, layer.bias_hh.value).to(at::kFloat);
}

at::Tensor input_gates(const LstmLayer& layer, const at::Tensor& x) {
  return at::linear(x, layer.weight_ih.value, layer.bias_ih.value).to(at::kFloat);
}

}  // namespace

LstmLayer::LstmLayer(const std::string& prefix, const std::string& suffix, int64_t in, int64_t size,
                     const c10::Device& device)
    : weight_ih(weight_of(prefix + "weight_ih" + suffix, 4 * size, in, device)),
      weight_hh(weight_of(prefix + "weight_hh" + suffix, 4 * size, size, device)),
      bias_ih(bias_of(prefix + "bias_ih" + suffix, 4 * size, device)),
      bias_hh(bias_of(prefix + "bias_hh" + suffix, 4 * size, device)) {}

void LstmLayer::add_to(std::vector<Parameter*>& all) {
  all.insert(all.end(), {&weight_ih, &weight_hh, &bias_ih, &bias_hh});
}

LstmState lstm_step(const LstmLayer& layer, const at::Tensor& x, const LstmState& state) {
  return after_gates(input_gates(layer, x), recurrent_gates(layer, state.h), state.c);
}

at::Tensor lstm_over(const LstmLayer& layer, const at::Tensor& x, const at::Tensor& real,
                     bool backward, LstmState* last) {
  const int64_t steps = x.size(0);
  const at::Tensor gates = input_gates(layer, x);
  const at::Tensor zero = at::zeros({x.size(1), layer.size()}, x.options().dtype(at::kFloat));
  LstmState state{zero, zero};
  std::vector<at::Tensor> outputs(static_cast<std::size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = backward ? steps - 1 - i : i;
    const LstmState next = after_gates(gates[t], recurrent_gates(layer, state.h), state.c);
    const at::Tensor here = real[t];
    outputs[static_cast<std::size_t>(t)] = at::where(here, next.h, zero);
    state = {at::where(here, next.h, state.h), at::where(here, next.c, state.c)};
  }
  *last = state;
  return at::stack(outputs);
}

at::Tensor attended(const DecoderWeights& weights, const Source& source, const at::Tensor& h) {
  const at::Tensor query = at::linear(h, weights.query.value).transpose(0, 1);  // [n, steps, size]
  const at::Tensor scores = at::bmm(query, source.memory.transpose(1, 2)).to(at::kFloat);
  // A source without words has nothing but masked positions, and their memory is 0.
  const at::Tensor share = at::softmax(
      scores.masked_fill(source.masked.unsqueeze(1), std::numeric_limits<float>::lowest()), 2);
  const at::Tensor context = at::bmm(share, source.memory).transpose(0, 1).to(at::kFloat);
  return at::tanh(at::linear(at::cat({context, h}, 2), weights.output.value).to(at::kFloat));
}

DecoderStep decoder_step(const DecoderWeights& weights, const Source& source, const at::Tensor& x,
                         const DecoderStep& before, const DecoderDropout& dropout, int64_t time) {
  DecoderStep now;
  at::Tensor h = weights.input_feed ? at::cat({x, before.output}, 1) : x;
  for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
    if (layer > 0 && dropout.between.defined()) {
      h = h * dropout.between[static_cast<int64_t>(layer) - 1][time];
    }
    now.layers.push_back(lstm_step(weights.layers[layer], h, before.layers[layer]));
    h = now.layers.back().h;
  }
  now.output = attended(weights, source, h.unsqueeze(0)).squeeze(0);
  if (dropout.outputs.defined()) now.output = now.output * dropout.outputs[time];
  return now;
}

DecoderStep first_step(const at::Tensor& summary) {
  DecoderStep first;
  for (int64_t layer = 0; layer < summary.size(1); ++layer) {
    first.layers.push_back({summary[0][layer], summary[1][layer]});
  }
  first.output = at::zeros_like(first.layers[0].h);
  return first;
}

at::Tensor decode_stepwise(const DecoderWeights& weights, const Source& source, const at::Tensor& x,
                           const at::Tensor& summary, const DecoderDropout& dropout) {
  DecoderStep step = first_step(summary);
  std::vector<at::Tensor> outputs;
  for (int64_t time = 0; time < x.size(0); ++time) {
    step = decoder_step(weights, source, x[time], step, dropout, time);
    outputs.push_back(step.output);
  }
  return at::stack(outputs);
}

}  // namespace bitstill
