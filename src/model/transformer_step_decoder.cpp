#include "transformer_step_decoder.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "attention_kernel.hpp"
#include "bitstill/model/autocast.hpp"
#include "operand.hpp"
#include "product.hpp"
#include "transformer_units.hpp"

namespace bitstill {
namespace {

/// x W^T [+ b] of any number of rows.
class Dense {
 public:
  Dense(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type)
      : product_(weight, type), out_(weight.size(0)) {
    if (bias.defined()) bias_ = bias.detach().to(type);
  }
  at::Tensor operator()(const at::Tensor& x, bool relu = false) const {
    if (x.size(0) == 0) return at::empty({0, out_}, x.options());
    if (x.size(0) > 1) return product_(x, bias_, relu);
    return product_(at::cat({x, x}), bias_, relu).narrow(0, 0, 1);  // summed as among others
  }

 private:
  Product product_;
  int64_t out_;
  at::Tensor bias_;
};

/// Weights behind one another in their outputs.
at::Tensor joined(const std::vector<const Parameter*>& weights) {
  std::vector<at::Tensor> values;
  for (const Parameter* weight : weights) values.push_back(weight->value.detach());
  return at::cat(values);
}

/// A norm and what it is for: attention or a filter, into it and out of it.
struct Part {
  const LayerNorm* norm;
  Dense in, out;
};

/// Of tokens to those of their own side: `in` gives queries, keys and values.
Part own_part(const LayerNorm& norm, const HeadedAttention& attention, at::ScalarType type) {
  return {&norm, Dense(joined({&attention.query, &attention.keys, &attention.values}), {}, type),
          Dense(attention.output.value, {}, type)};
}

Part filter_part(const Filter& filter, at::ScalarType type) {
  return {&filter.norm, Dense(filter.in.weight.value, filter.in.bias.value, type),
          Dense(filter.out.weight.value, filter.out.bias.value, type)};
}

/// Value: what is multiplied and remembered. A state is each hypothesis' path, the numbers of the
/// rows of its tokens so far, and its sentence; rows stay with the decoder.
template <class Value>
class PreparedDecoder final : public StepDecoder {
 public:
  explicit PreparedDecoder(const Network& network);
  DecoderState begin(const Tokens& sources) override;
  at::Tensor next(DecoderState* state, const at::Tensor& last) override;

 private:
  struct EncoderPart {
    Part own, filter;
  };
  struct DecoderPart {
    Part own, context;
    Dense memory;  // keys and values of the source
    Part filter;
    at::Tensor source;               // [S x n, 2 size], by `memory`
    std::vector<at::Tensor> steps;   // [hypotheses, 3 size] of each step
    std::vector<const Value*> rows;  // of `steps`
  };
  static constexpr at::ScalarType kType = std::is_same_v<Value, float> ? at::kFloat : at::kBFloat16;

  at::Tensor encoded(const Tokens& sources) const;
  at::Tensor normed(const LayerNorm& norm, const at::Tensor& x) const { return norm(x).to(kType); }
  void filter(const Part& part, const at::Tensor& x) const {
    x.add_(part.out(part.in(normed(*part.norm, x), true)));
  }
  at::Tensor own_attention(DecoderPart& layer, const at::Tensor& x, const at::Tensor& path) const;
  at::Tensor context_attention(const DecoderPart& layer, const at::Tensor& x,
                               const at::Tensor& sentence) const;
  template <class KeysOf>
  at::Tensor attended(const at::Tensor& queries, const KeysOf& keys_of) const;

  TransformerUnits units_;
  int64_t size_, heads_;
  std::vector<EncoderPart> encoder_;
  std::vector<DecoderPart> decoder_;
  Dense head_;
  at::Tensor lengths_;  // of the sources
};

template <class Value>
PreparedDecoder<Value>::PreparedDecoder(const Network& network)
    : units_(network),
      size_(network.spec().size),
      heads_(network.spec().heads),
      head_(network.units().back()->parameters()[0]->value,
            network.units().back()->parameters()[1]->value, kType) {
  for (const EncoderLayer* layer : units_.encoder) {
    encoder_.push_back(
        {own_part(layer->norm, layer->attention, kType), filter_part(layer->filter, kType)});
  }
  for (const DecoderLayer* layer : units_.decoder) {
    const HeadedAttention& context = layer->context;
    decoder_.push_back({own_part(layer->own_norm, layer->own, kType),
                        {&layer->context_norm, Dense(context.query.value, {}, kType),
                         Dense(context.output.value, {}, kType)},
                        Dense(joined({&context.keys, &context.values}), {}, kType),
                        filter_part(layer->filter, kType),
                        {},
                        {},
                        {}});
  }
}

/// queries [rows, size or more] -> contexts [rows, size]. `keys_of(row, &keys)` lists what a row
/// attends to; values lie `size` behind their keys.
template <class Value>
template <class KeysOf>
at::Tensor PreparedDecoder<Value>::attended(const at::Tensor& queries,
                                            const KeysOf& keys_of) const {
  const at::Tensor contexts = at::empty({queries.size(0), size_}, queries.options());
  over_rows(queries.size(0), [&](int64_t begin, int64_t end) {
    std::vector<const Value*> keys;
    std::vector<float> shares;
    HeadedQuery<Value> query;
    query.heads = heads_;
    query.width = size_ / heads_;
    query.to_values = size_;
    for (int64_t row = begin; row < end; ++row) {
      keys.clear();
      keys_of(row, &keys);
      shares.resize(static_cast<std::size_t>(heads_) * keys.size());
      query.query = values<Value>(queries) + row * queries.stride(0);
      query.keys = keys.data();
      query.count = static_cast<int64_t>(keys.size());
      query.shares = shares.data();
      query.context = values<Value>(contexts) + row * size_;
      attend_by_heads(query);
    }
  });
  return contexts;
}

/// [S x n, size], word after word.
template <class Value>
at::Tensor PreparedDecoder<Value>::encoded(const Tokens& sources) const {
  const int64_t n = sources.sentences();
  const auto* const lengths = sources.source_lengths.template const_data_ptr<int64_t>();
  const at::Tensor x = units_.source->rows(sources.source, 0).flatten(0, 1);
  for (const EncoderPart& layer : encoder_) {
    const at::Tensor own = layer.own.in(normed(*layer.own.norm, x));
    const Value* const keys = values<Value>(own) + size_;
    x.add_(layer.own.out(attended(own, [&](int64_t row, std::vector<const Value*>* list) {
      const int64_t sentence = row % n;
      if (row / n >= lengths[sentence]) return;  // padding
      for (int64_t word = 0; word < lengths[sentence]; ++word) {
        list->push_back(keys + (word * n + sentence) * own.stride(0));
      }
    })));
    filter(layer.filter, x);
  }
  return normed(units_.encoder_norm->norm, x);
}

template <class Value>
DecoderState PreparedDecoder<Value>::begin(const Tokens& sources) {
  const at::NoGradGuard no_gradient;
  const at::Tensor memory = encoded(sources);
  for (DecoderPart& layer : decoder_) {
    layer.source = layer.memory(memory);
    layer.steps.clear();
    layer.rows.clear();
  }
  lengths_ = sources.source_lengths;
  return {at::empty({sources.sentences(), 0}, at::kLong), at::arange(sources.sentences())};
}

/// Of the tokens that end the paths [hypotheses, time] to all of theirs.
template <class Value>
at::Tensor PreparedDecoder<Value>::own_attention(DecoderPart& layer, const at::Tensor& x,
                                                 const at::Tensor& path) const {
  const at::Tensor own = layer.own.in(normed(*layer.own.norm, x));
  layer.steps.push_back(own);
  for (int64_t row = 0; row < x.size(0); ++row) {
    layer.rows.push_back(values<Value>(own) + row * own.stride(0));
  }
  const auto* const numbers = path.const_data_ptr<int64_t>();
  const int64_t time = path.size(1);
  return layer.own.out(attended(own, [&](int64_t row, std::vector<const Value*>* list) {
    for (int64_t at = row * time; at < (row + 1) * time; ++at) {
      list->push_back(layer.rows[static_cast<std::size_t>(numbers[at])] + size_);
    }
  }));
}

template <class Value>
at::Tensor PreparedDecoder<Value>::context_attention(const DecoderPart& layer, const at::Tensor& x,
                                                     const at::Tensor& sentence) const {
  const at::Tensor query = layer.context.in(normed(*layer.context.norm, x));
  const Value* const source = values<Value>(layer.source);
  const auto* const sentences = sentence.const_data_ptr<int64_t>();
  const auto* const lengths = lengths_.template const_data_ptr<int64_t>();
  return layer.context.out(attended(query, [&](int64_t row, std::vector<const Value*>* list) {
    for (int64_t word = 0; word < lengths[sentences[row]]; ++word) {
      list->push_back(source + (word * lengths_.size(0) + sentences[row]) * layer.source.stride(0));
    }
  }));
}

template <class Value>
at::Tensor PreparedDecoder<Value>::next(DecoderState* state, const at::Tensor& last) {
  const at::NoGradGuard no_gradient;
  const auto first = static_cast<int64_t>(decoder_.front().rows.size());
  const at::Tensor numbers = at::arange(first, first + last.size(0)).unsqueeze(1);
  const at::Tensor path = at::cat({(*state)[0], numbers}, 1);
  const at::Tensor sentence = (*state)[1].contiguous();
  const at::Tensor x = units_.target->rows(last.unsqueeze(0), path.size(1) - 1).squeeze(0);
  for (DecoderPart& layer : decoder_) {
    x.add_(own_attention(layer, x, path));
    x.add_(context_attention(layer, x, sentence));
    filter(layer.filter, x);
  }
  *state = {path, sentence};
  return head_(normed(units_.decoder_norm->norm, x)).to(at::kFloat);
}

}  // namespace

std::unique_ptr<StepDecoder> transformer_step_decoder(const Network& network, bool bf16) {
  const AutocastScope precision(bf16, at::kCPU);
  if (!takes_products(network.parameters()[0]->value)) {
    return plain_transformer_decoder(network, bf16);
  }
  if (bf16) return std::make_unique<PreparedDecoder<uint16_t>>(network);
  return std::make_unique<PreparedDecoder<float>>(network);
}

}  // namespace bitstill
