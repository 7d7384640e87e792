#include "recurrent_units.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "bitstill/base/text.hpp"
#include "bitstill/model/dropout.hpp"
#include "decoder_node.hpp"
#include "layers.hpp"
#include "lstm_node.hpp"
#include "product.hpp"

namespace bitstill {
namespace {

/// Streams of dropout, one for each place; of the encoder's layers one each from kBetween on.
enum DropoutPlace : uint64_t { kSource, kTarget, kDecoderLayers, kOutputs, kBetween };

Parameter matrix(const std::string& name, int64_t out, int64_t in, const c10::Device& device) {
  return {name, ParameterRole::weight, at::zeros({out, in}, device)};
}

}  // namespace

Embedding::Embedding(Side side, Parameter table, double dropout)
    : side_(side), table_(std::move(table)), dropout_(dropout) {}

at::Tensor Embedding::rows(const at::Tensor& ids) const {
  return at::embedding(table_.value, ids);
}

void Embedding::pass(Flow& flow, const ForwardMode& mode) {
  const bool source = side_ == Side::source;
  flow.x = dropped(rows(source ? flow.tokens->source : flow.tokens->target), dropout_,
                   source ? kSource : kTarget, mode);
}

Encoder::Encoder(const NetworkSpec& spec, const c10::Device& device)
    : directions_(spec.bidirectional ? 2 : 1), dropout_(spec.dropout[0]) {
  const int64_t size = spec.size, own = size / directions_;
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    for (int64_t direction = 0; direction < directions_; ++direction) {
      layers_.emplace_back("encoder.rnn.", concat("_l", layer, direction == 0 ? "" : "_reverse"),
                           size, own, device);
    }
  }
  if (!spec.bridge) return;
  const int64_t total = own * spec.layers;
  for (const char* state : {"encoder.bridge.0.", "encoder.bridge.1."}) {
    bridge_.push_back(matrix(concat(state, "weight"), total, total, device));
    bridge_.push_back({concat(state, "bias"), ParameterRole::bias, at::zeros({total}, device)});
  }
}

/// States [layers x directions, n, own], of which each sentence's are taken `layers` at a time, in
/// that order.
at::Tensor Encoder::bridged(const at::Tensor& states, const Parameter& weight,
                            const Parameter& bias, const ForwardMode& mode) const {
  const at::Tensor rows = states.transpose(0, 1).contiguous();  // [n, layers x directions, own]
  const at::Tensor together = rows.view({-1, weight.value.size(0)});
  return at::relu(linear(together, weight.value, bias.value, mode).to(at::kFloat))
      .view(rows.sizes())
      .transpose(0, 1);
}

void Encoder::pass(Flow& flow, const ForwardMode& mode) {
  const at::Device device = flow.x.device();
  const at::Tensor lengths = flow.tokens->source_lengths.to(device);
  const at::Tensor positions = at::arange(flow.x.size(0), lengths.options());
  const at::Tensor real = positions.unsqueeze(1).lt(lengths.unsqueeze(0));  // [S, n]
  at::Tensor x = flow.x;
  std::vector<at::Tensor> h, c;
  for (std::size_t first = 0; first < layers_.size();
       first += static_cast<std::size_t>(directions_)) {
    if (first > 0) x = dropped(x, dropout_, kBetween + first, mode);
    std::vector<at::Tensor> outputs;
    for (int64_t direction = 0; direction < directions_; ++direction) {
      LstmState last;
      const LstmLayer& layer = layers_[first + static_cast<std::size_t>(direction)];
      outputs.push_back(
          takes_products(x)
              ? lstm_node(layer, x, flow.tokens->source_lengths, direction == 1, {}, &last)
              : lstm_over(layer, x, real.unsqueeze(2), direction == 1, &last));
      h.push_back(last.h);
      c.push_back(last.c);
    }
    x = directions_ == 1 ? outputs[0] : at::cat(outputs, 2);
  }
  at::Tensor last_h = at::stack(h), last_c = at::stack(c);  // [layers x directions, n, own]
  if (!bridge_.empty()) {
    last_h = bridged(last_h, bridge_[0], bridge_[1], mode);
    last_c = bridged(last_c, bridge_[2], bridge_[3], mode);
  }
  const int64_t n = x.size(1), size = x.size(2), layers = last_h.size(0) / directions_;
  const auto joined = [&](const at::Tensor& states) {  // directions one behind the other
    return states.reshape({layers, directions_, n, size / directions_})
        .transpose(1, 2)
        .reshape({layers, n, size});
  };
  flow.memory = flow.x = x;
  flow.masked = real.t().logical_not();
  flow.summary = at::stack({joined(last_h), joined(last_c)});
}

std::vector<Parameter*> Encoder::parameters() {
  std::vector<Parameter*> all;
  for (LstmLayer& layer : layers_) layer.add_to(all);
  for (Parameter& parameter : bridge_) all.push_back(&parameter);
  return all;
}

Decoder::Decoder(const NetworkSpec& spec, const c10::Device& device)
    : dropout_(spec.dropout[0]),
      weights_{{},
               matrix("decoder.attn.linear_in.weight", spec.size, spec.size, device),
               matrix("decoder.attn.linear_out.weight", spec.size, 2 * spec.size, device),
               spec.input_feed} {
  const int64_t size = spec.size;
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    if (spec.input_feed) {  // a stack of cells, as OpenNMT-py has it, else PyTorch's LSTM
      weights_.layers.emplace_back(concat("decoder.rnn.layers.", layer, "."), "",
                                   layer == 0 ? 2 * size : size, size, device);
    } else {
      weights_.layers.emplace_back("decoder.rnn.", concat("_l", layer), size, size, device);
    }
  }
}

void Decoder::pass(Flow& flow, const ForwardMode& mode) {
  const at::Device device = flow.x.device();
  const int64_t steps = flow.x.size(0), n = flow.x.size(1), size = flow.x.size(2);
  const auto layers = static_cast<int64_t>(weights_.layers.size());
  DecoderDropout dropout;
  if (layers > 1) {
    dropout.between =
        dropout_factors({layers - 1, steps, n, size}, dropout_, kDecoderLayers, mode, device);
  }
  dropout.outputs = dropout_factors({steps, n, size}, dropout_, kOutputs, mode, device);
  const Source source{flow.memory.transpose(0, 1), flow.masked};
  if (!takes_products(flow.x)) {
    flow.x = decode_stepwise(weights_, source, flow.x, flow.summary, dropout);
  } else if (weights_.input_feed) {
    flow.x = decoder_node(weights_, flow.memory, flow.tokens->source_lengths, flow.x, flow.summary,
                          dropout);
  } else {
    flow.x = by_layers(flow, source, dropout);
  }
}

/// Without input feeding a layer needs no step of the layers above it.
at::Tensor Decoder::by_layers(const Flow& flow, const Source& source,
                              const DecoderDropout& dropout) const {
  at::Tensor h = flow.x;
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    const auto at = static_cast<int64_t>(layer);
    if (layer > 0 && dropout.between.defined()) h = h * dropout.between[at - 1];
    LstmState last;
    h = lstm_node(weights_.layers[layer], h, {}, false, {flow.summary[0][at], flow.summary[1][at]},
                  &last);
  }
  const at::Tensor y = attended(weights_, source, h);
  return dropout.outputs.defined() ? y * dropout.outputs : y;
}

std::vector<Parameter*> Decoder::parameters() {
  std::vector<Parameter*> all;
  for (LstmLayer& layer : weights_.layers) layer.add_to(all);
  all.insert(all.end(), {&weights_.query, &weights_.output});
  return all;
}

}  // namespace bitstill
