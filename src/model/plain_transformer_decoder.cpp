#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "bitstill/model/autocast.hpp"
#include "transformer_step_decoder.hpp"
#include "transformer_units.hpp"

namespace bitstill {
namespace {

// States are each hypothesis' sentence, then keys and values of its own tokens for each layer.
class PlainDecoder final : public StepDecoder {
 public:
  PlainDecoder(const Network& network, bool bf16)
      : network_(network), units_(network), bf16_(bf16) {}

  DecoderState begin(const Tokens& sources) override {
    const at::NoGradGuard no_gradient;
    const AutocastScope precision(bf16_, sources.source.device());
    Flow flow;
    flow.tokens = &sources;
    for (std::size_t unit = 0; unit < units_.encoder.size() + 2; ++unit) {
      network_.units()[unit]->pass(flow, {});
    }
    allowed_ = allowed_by(flow.masked);
    memories_.clear();
    DecoderState state = {at::arange(sources.sentences(), sources.source.options())};
    for (const DecoderLayer* layer : units_.decoder) {
      memories_.push_back(layer->context.of(flow.memory));
      const at::Tensor none = memories_.back().keys.narrow(2, 0, 0);
      state.insert(state.end(), {none, none});
    }
    return state;
  }

  at::Tensor next(DecoderState* state, const at::Tensor& last) override {
    const at::NoGradGuard no_gradient;
    const AutocastScope precision(bf16_, last.device());
    const at::Tensor sentence = (*state)[0];
    const Sight sight{allowed_.index_select(0, sentence), false};
    at::Tensor x = units_.target->rows(last.unsqueeze(0), (*state)[1].size(2));  // [1, h, size]
    for (std::size_t i = 0; i < units_.decoder.size(); ++i) {
      const DecoderLayer& layer = *units_.decoder[i];
      at::Tensor &keys = (*state)[1 + 2 * i], &values = (*state)[2 + 2 * i];
      const at::Tensor y = layer.own_norm(x);
      const KeysAndValues now = layer.own.of(y);
      keys = at::cat({keys, now.keys}, 2);
      values = at::cat({values, now.values}, 2);
      x = x + layer.own(y, {keys, values}, {});
      const KeysAndValues memory{memories_[i].keys.index_select(0, sentence),
                                 memories_[i].values.index_select(0, sentence)};
      x = x + layer.context(layer.context_norm(x), memory, sight);
      x = x + layer.filter(x);
    }
    return network_.head(units_.decoder_norm->norm(x.squeeze(0)), {}).to(at::kFloat);
  }

 private:
  const Network& network_;
  TransformerUnits units_;
  bool bf16_;
  std::vector<KeysAndValues> memories_;  // of each layer
  at::Tensor allowed_;                   // bool [n, 1, 1, S]
};

}  // namespace

std::unique_ptr<StepDecoder> plain_transformer_decoder(const Network& network, bool bf16) {
  return std::make_unique<PlainDecoder>(network, bf16);
}

}  // namespace bitstill
