#include "recurrent_step_decoder.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tanh.h>

#include "bitstill/model/autocast.hpp"
#include "operand.hpp"
#include "product.hpp"
#include "recurrent_units.hpp"

namespace bitstill {
namespace {

const Embedding& target_embedding(const Network& network) {
  return static_cast<const Embedding&>(*network.units()[2]);
}

const DecoderWeights& decoder_weights(const Network& network) {
  return static_cast<const Decoder&>(*network.units()[3]).weights();
}

/// What the encoder says of the sources.
Flow encoded(const Network& network, const Tokens& sources) {
  if (sources.sentences() == 1) {  // alone it would be summed in another order
    Tokens twice;
    twice.source = at::cat({sources.source, sources.source}, 1);
    twice.source_lengths = at::cat({sources.source_lengths, sources.source_lengths});
    Flow flow = encoded(network, twice);
    flow.memory = flow.memory.narrow(1, 0, 1);
    flow.masked = flow.masked.narrow(0, 0, 1);
    flow.summary = flow.summary.narrow(2, 0, 1);
    return flow;
  }
  Flow flow;
  flow.tokens = &sources;
  for (std::size_t unit = 0; unit < 2; ++unit) network.units()[unit]->pass(flow, {});
  return flow;
}

// States are h and c of each layer, the last output and each hypothesis' sentence.
DecoderState state_of(const DecoderStep& step, const at::Tensor& sentence) {
  DecoderState state;
  for (const LstmState& layer : step.layers) state.insert(state.end(), {layer.h, layer.c});
  state.insert(state.end(), {step.output, sentence});
  return state;
}

DecoderStep step_of(const DecoderState& state) {
  DecoderStep step;
  for (std::size_t i = 0; i + 2 < state.size(); i += 2) {
    step.layers.push_back({state[i], state[i + 1]});
  }
  step.output = state[state.size() - 2];
  return step;
}

at::Tensor all_sentences(const Tokens& sources) {
  return at::arange(sources.sentences(), sources.source.options());
}

/// By the operators that training's reference has.
class PlainStepDecoder final : public StepDecoder {
 public:
  PlainStepDecoder(const Network& network, bool bf16) : network_(network), bf16_(bf16) {}

  DecoderState begin(const Tokens& sources) override {
    const at::NoGradGuard no_gradient;
    const AutocastScope precision(bf16_, sources.source.device());
    const Flow flow = encoded(network_, sources);
    source_ = {flow.memory.transpose(0, 1), flow.masked};
    return state_of(first_step(flow.summary), all_sentences(sources));
  }

  at::Tensor next(DecoderState* state, const at::Tensor& last) override {
    const at::NoGradGuard no_gradient;
    const AutocastScope precision(bf16_, last.device());
    const at::Tensor sentence = state->back();
    const Source source{source_.memory.index_select(0, sentence),
                        source_.masked.index_select(0, sentence)};
    const DecoderStep now =
        decoder_step(decoder_weights(network_), source, target_embedding(network_).rows(last),
                     step_of(*state), {}, 0);
    *state = state_of(now, sentence);
    return network_.head(now.output, {}).to(at::kFloat);
  }

 private:
  const Network& network_;
  bool bf16_;
  Source source_;
};

/// By the kernels of the nodes, with one product for a layer's gates.
class PreparedStepDecoder final : public StepDecoder {
 public:
  PreparedStepDecoder(const Network& network, bool bf16);
  DecoderState begin(const Tokens& sources) override;
  at::Tensor next(DecoderState* state, const at::Tensor& last) override;

 private:
  struct Layer {
    Product product;  // of [x, h]
    at::Tensor bias;
  };
  template <class Value>
  LstmState cells(const Layer& layer, const at::Tensor& operand, const LstmState& before) const;
  at::Tensor context_of(const at::Tensor& h, const at::Tensor& sentence) const;

  const Network& network_;
  at::ScalarType type_;
  std::vector<Layer> layers_;
  Product keys_of_, output_, head_;
  at::Tensor head_bias_;
  at::Tensor memory_, keys_, lengths_;
};

PreparedStepDecoder::PreparedStepDecoder(const Network& network, bool bf16)
    : network_(network),
      type_(bf16 ? at::kBFloat16 : at::kFloat),
      keys_of_(decoder_weights(network).query.value.detach().t(), type_),
      output_(decoder_weights(network).output.value, type_),
      head_(network.units().back()->parameters()[0]->value, type_),
      head_bias_(network.units().back()->parameters()[1]->value.detach().to(type_)) {
  for (const LstmLayer& layer : decoder_weights(network).layers) {
    layers_.push_back(
        {Product(at::cat({layer.weight_ih.value.detach(), layer.weight_hh.value.detach()}, 1),
                 type_),
         (layer.bias_ih.value.detach() + layer.bias_hh.value.detach()).to(type_)});
  }
}

DecoderState PreparedStepDecoder::begin(const Tokens& sources) {
  const at::NoGradGuard no_gradient;
  const AutocastScope precision(type_ == at::kBFloat16, at::kCPU);
  const Flow flow = encoded(network_, sources);
  memory_ = flow.memory.contiguous();
  keys_ = keys_of_(memory_.flatten(0, 1).to(type_)).to(at::kFloat).view(memory_.sizes());
  lengths_ = sources.source_lengths;
  return state_of(first_step(flow.summary), all_sentences(sources));
}

template <class Value>
LstmState PreparedStepDecoder::cells(const Layer& layer, const at::Tensor& operand,
                                     const LstmState& before) const {
  const at::Tensor of_h = layer.product(operand, layer.bias);
  const at::Tensor h = before.h.contiguous(), c = before.c.contiguous();
  const at::Tensor gates = at::empty(of_h.sizes(), h.options());
  const LstmState now{at::empty_like(h), at::empty_like(c)};
  CellForward<Value> cell;
  cell.size = h.size(1);
  cell.of_h = values<Value>(of_h);
  cell.h = values<float>(h);
  cell.c = values<float>(c);
  cell.gates = values<float>(gates);
  cell.next_h = values<float>(now.h);
  cell.next_c = values<float>(now.c);
  over_rows(h.size(0), [&](int64_t begin, int64_t end) { lstm_cell(cell, begin, end); });
  return now;
}

at::Tensor PreparedStepDecoder::context_of(const at::Tensor& h, const at::Tensor& sentence) const {
  Attention attention = attention_over(memory_, keys_, lengths_);
  attention.sentence = sentence.const_data_ptr<int64_t>();
  const at::Tensor context = at::empty_like(h);
  const at::Tensor share = at::empty({h.size(0), attention.longest}, h.options());
  over_rows(h.size(0), [&](int64_t begin, int64_t end) {
    attend(attention, values<float>(h), values<float>(share), values<float>(context), begin, end);
  });
  return context;
}

at::Tensor PreparedStepDecoder::next(DecoderState* state, const at::Tensor& last) {
  const at::NoGradGuard no_gradient;
  if (last.numel() == 1) {  // alone it would be summed in another order
    for (at::Tensor& part : *state) part = at::cat({part, part});
    const at::Tensor logits = next(state, at::cat({last, last}));
    for (at::Tensor& part : *state) part = part.narrow(0, 0, 1);
    return logits.narrow(0, 0, 1);
  }
  const DecoderStep before = step_of(*state);
  DecoderStep now;
  at::Tensor h = target_embedding(network_).rows(last);
  if (decoder_weights(network_).input_feed) h = at::cat({h, before.output}, 1);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const at::Tensor operand = at::cat({h, before.layers[i].h}, 1).to(type_);
    now.layers.push_back(type_ == at::kFloat
                             ? cells<float>(layers_[i], operand, before.layers[i])
                             : cells<uint16_t>(layers_[i], operand, before.layers[i]));
    h = now.layers.back().h;
  }
  const at::Tensor sentence = state->back().contiguous();
  const at::Tensor joined = at::cat({context_of(h, sentence), h}, 1).to(type_);
  now.output = at::tanh(output_(joined).to(at::kFloat));
  *state = state_of(now, sentence);
  return head_(now.output.to(type_), head_bias_).to(at::kFloat);
}

}  // namespace

std::unique_ptr<StepDecoder> recurrent_step_decoder(const Network& network, bool bf16) {
  const AutocastScope precision(bf16, at::kCPU);
  if (takes_products(network.parameters()[0]->value)) {
    return std::make_unique<PreparedStepDecoder>(network, bf16);
  }
  return plain_step_decoder(network, bf16);
}

std::unique_ptr<StepDecoder> plain_step_decoder(const Network& network, bool bf16) {
  return std::make_unique<PlainStepDecoder>(network, bf16);
}

}  // namespace bitstill
