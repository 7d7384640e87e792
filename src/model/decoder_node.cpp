#include "decoder_node.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "custom_gradient.hpp"
#include "operand.hpp"
#include "product.hpp"

namespace bitstill {
namespace {

/// What forward leaves for backward: of the decoder, then of each layer.
enum Saved : std::size_t {
  kX,        // [U, n, size], operand
  kMemory,   // [S, n, size]
  kKeys,     // [S, n, size]: what the last h is multiplied by for its scores
  kLengths,  // [n]
  kQuery,    // the weights
  kOutput,
  kShare,    // [U, n, S]
  kJoined,   // [U, n, 2 size], operand: [context, h]
  kY,        // [U, n, size], before dropout
  kBetween,  // dropout's factors, or undefined
  kOutputs,
  kTopH,  // [U, n, size], h of the last layer
  kLayers
};
enum SavedOfLayer : std::size_t {
  kWeightIh,
  kWeightHh,
  kOperand,  // [U, n, 2 size]: [output, h] or [h of the layer below, h]
  kGates,    // [U, n, 4 size]
  kH,        // [U + 1, n, size]
  kC,        // [U + 1, n, size]
  kOfLayer
};

using Tensors = std::vector<at::Tensor>;

const at::Tensor& of_layer(const Tensors& saved, int64_t layer, SavedOfLayer what) {
  return saved[kLayers + static_cast<std::size_t>(layer) * kOfLayer + what];
}

int64_t layers_of(const Tensors& saved) {
  return static_cast<int64_t>((saved.size() - kLayers) / kOfLayer);
}

at::Tensor first_half(const at::Tensor& rows) {
  return rows.narrow(-1, 0, rows.size(-1) / 2);
}

at::Tensor second_half(const at::Tensor& rows) {
  return rows.narrow(-1, rows.size(-1) / 2, rows.size(-1) / 2);
}

/// Columns of the step's product, [4 size, 2 size]: the first layer's targets are no part of it.
at::Tensor step_weight(const at::Tensor& weight_ih, const at::Tensor& weight_hh, int64_t layer) {
  return at::cat({layer == 0 ? second_half(weight_ih) : weight_ih, weight_hh}, 1);
}

Attention attention_of(const Tensors& saved) {
  return attention_over(saved[kMemory], saved[kKeys], saved[kLengths]);
}

class Forward {
 public:
  Forward(const DecoderWeights& weights, const at::Tensor& memory, const at::Tensor& lengths,
          const at::Tensor& x, const at::Tensor& summary, const DecoderDropout& dropout)
      : type_(product_type()),
        steps_(x.size(0)),
        attend_(weights.output.value, type_),
        context_(at::empty(x.sizes().slice(1), summary.options())) {
    const at::Tensor operand = x.to(type_).contiguous(), whole = memory.contiguous();
    const auto fp32 = summary.options();
    const int64_t n = x.size(1), size = x.size(2);
    const at::Tensor keys = Product(weights.query.value.t(), type_)(whole.flatten(0, 1).to(type_));
    saved_ = {operand,
              whole,
              keys.to(at::kFloat).view(whole.sizes()),
              lengths,
              weights.query.value,
              weights.output.value,
              at::empty({steps_, n, whole.size(0)}, fp32),
              at::empty({steps_, n, 2 * size}, operand.options()),
              at::empty({steps_, n, size}, fp32),
              dropout.between,
              dropout.outputs,
              at::Tensor()};
    for (const LstmLayer& layer : weights.layers) add_layer(layer, summary);
    saved_[kTopH] = of_layer(saved_, layers() - 1, kH).narrow(0, 1, steps_);
  }

  CustomResult run();

 private:
  int64_t layers() const { return static_cast<int64_t>(products_.size()); }
  void add_layer(const LstmLayer& layer, const at::Tensor& summary);
  void step(int64_t t);
  template <class Value>
  void cells(int64_t layer, int64_t t, const at::Tensor& of_h);
  at::Tensor kept(int64_t layer, SavedOfLayer what, int64_t t) const {
    return of_layer(saved_, layer, what)[t];
  }

  at::ScalarType type_;
  int64_t steps_;
  Product attend_;
  std::vector<Product> products_;
  Tensors biases_;   // the first layer's is in of_x_
  at::Tensor of_x_;  // the targets' part of the first layer's gates, [U, n, 4 size]
  at::Tensor context_;
  Tensors saved_;
};

void Forward::add_layer(const LstmLayer& layer, const at::Tensor& summary) {
  const int64_t number = layers(), n = summary.size(2), size = summary.size(3);
  const at::Tensor &weight_ih = layer.weight_ih.value, &weight_hh = layer.weight_hh.value;
  const at::Tensor bias = (layer.bias_ih.value + layer.bias_hh.value).to(type_);
  if (number == 0) {
    of_x_ = Product(first_half(weight_ih), type_)(saved_[kX].flatten(0, 1), bias);
    of_x_ = of_x_.view({steps_, n, 4 * size});
  }
  products_.emplace_back(step_weight(weight_ih, weight_hh, number), type_);
  biases_.push_back(number == 0 ? at::Tensor() : bias);
  const auto fp32 = summary.options();
  saved_.insert(saved_.end(),
                {weight_ih, weight_hh, at::zeros({steps_, n, 2 * size}, saved_[kX].options()),
                 at::empty({steps_, n, 4 * size}, fp32), at::empty({steps_ + 1, n, size}, fp32),
                 at::empty({steps_ + 1, n, size}, fp32)});
  kept(number, kH, 0).copy_(summary[0][number]);
  kept(number, kC, 0).copy_(summary[1][number]);
}

template <class Value>
void Forward::cells(int64_t layer, int64_t t, const at::Tensor& of_h) {
  CellForward<Value> cell;
  cell.size = context_.size(1);
  if (layer == 0) cell.of_x = values<Value>(of_x_[t]);
  cell.of_h = values<Value>(of_h);
  cell.h = values<float>(kept(layer, kH, t));
  cell.c = values<float>(kept(layer, kC, t));
  cell.gates = values<float>(kept(layer, kGates, t));
  cell.next_h = values<float>(kept(layer, kH, t + 1));
  cell.next_c = values<float>(kept(layer, kC, t + 1));
  over_rows(of_h.size(0), [&](int64_t begin, int64_t end) { lstm_cell(cell, begin, end); });
}

/// From what the step before left in the operands' first half.
void Forward::step(int64_t t) {
  for (int64_t layer = 0; layer < layers(); ++layer) {
    const at::Tensor operand = kept(layer, kOperand, t);
    second_half(operand).copy_(kept(layer, kH, t));
    const auto at = static_cast<std::size_t>(layer);
    const at::Tensor of_h = products_[at](operand, biases_[at]);
    type_ == at::kFloat ? cells<float>(layer, t, of_h) : cells<uint16_t>(layer, t, of_h);
    if (layer + 1 == layers()) break;
    const at::Tensor h = kept(layer, kH, t + 1);
    const at::Tensor& factors = saved_[kBetween];
    first_half(kept(layer + 1, kOperand, t)).copy_(factors.defined() ? h * factors[layer][t] : h);
  }
  const at::Tensor h = saved_[kTopH][t], share = saved_[kShare][t], joined = saved_[kJoined][t];
  const Attention attention = attention_of(saved_);
  over_rows(h.size(0), [&](int64_t begin, int64_t end) {
    attend(attention, values<float>(h), values<float>(share), values<float>(context_), begin, end);
  });
  first_half(joined).copy_(context_);
  second_half(joined).copy_(h);
  at::Tensor y = saved_[kY][t];
  at::tanh_out(y, attend_(joined).to(at::kFloat));
}

CustomResult Forward::run() {
  const at::Tensor& factors = saved_[kOutputs];
  const at::Tensor fed = factors.defined() ? at::empty_like(saved_[kY]) : saved_[kY];
  for (int64_t t = 0; t < steps_; ++t) {
    if (t > 0) first_half(kept(0, kOperand, t)).copy_(fed[t - 1]);
    step(t);
    if (factors.defined()) fed[t].copy_(saved_[kY][t] * factors[t]);
  }
  return {fed, saved_, {}};
}

class Backward {
 public:
  explicit Backward(const Tensors& saved)
      : saved_(saved),
        steps_(saved[kX].size(0)),
        attend_(saved[kOutput].t(), saved[kX].scalar_type()),
        dscores_(at::empty_like(saved[kShare])),
        dcontext_(at::empty_like(saved[kY])),
        dprojected_(at::empty(saved[kY].sizes(), saved[kX].options())) {
    for (int64_t layer = 0; layer < layers_of(saved); ++layer) {
      const at::Tensor weight =
          step_weight(of_layer(saved, layer, kWeightIh), of_layer(saved, layer, kWeightHh), layer);
      products_.emplace_back(weight.t(), saved[kX].scalar_type());
      dgates_.push_back(at::empty(of_layer(saved, layer, kGates).sizes(), saved[kX].options()));
      dh_.push_back(at::zeros_like(of_layer(saved, layer, kH)[0]));
      dc_.push_back(at::zeros_like(dh_.back()));
    }
  }

  Tensors run(const at::Tensor& given);

 private:
  void step(int64_t t, const at::Tensor& dy);
  template <class Value>
  void cells(int64_t layer, int64_t t);
  void add_layer(int64_t layer, Tensors& gradients) const;
  Tensors of_source() const;

  const Tensors& saved_;
  int64_t steps_;
  Product attend_;
  std::vector<Product> products_;
  at::Tensor dscores_, dcontext_, dprojected_;  // of all steps; the last behind W_out's product
  Tensors dgates_, dh_, dc_;                    // of each layer
  at::Tensor dfed_;
};

template <class Value>
void Backward::cells(int64_t layer, int64_t t) {
  const auto at = static_cast<std::size_t>(layer);
  CellBackward<Value> cell;
  cell.size = dh_[at].size(1);
  cell.gates = values<float>(of_layer(saved_, layer, kGates)[t]);
  cell.c = values<float>(of_layer(saved_, layer, kC)[t]);
  cell.next_c = values<float>(of_layer(saved_, layer, kC)[t + 1]);
  cell.dh = values<float>(dh_[at]);
  cell.dc = values<float>(dc_[at]);
  cell.dgates = values<Value>(dgates_[at][t]);
  over_rows(dh_[at].size(0),
            [&](int64_t begin, int64_t end) { lstm_cell_gradient(cell, begin, end); });
}

/// dy: of the step's output, as it was fed and given on.
void Backward::step(int64_t t, const at::Tensor& dy) {
  const at::Tensor& y = saved_[kY][t];
  const at::Tensor dropped = saved_[kOutputs].defined() ? dy * saved_[kOutputs][t] : dy;
  dprojected_[t].copy_(dropped * (1 - y * y));
  const at::Tensor djoined = attend_(dprojected_[t]);
  const at::Tensor dcontext = dcontext_[t], dscores = dscores_[t], share = saved_[kShare][t];
  dcontext.copy_(first_half(djoined));
  const at::Tensor& dh = dh_.back();
  dh.add_(second_half(djoined));
  const Attention attention = attention_of(saved_);
  over_rows(dh.size(0), [&](int64_t begin, int64_t end) {
    attend_gradient(attention, values<float>(share), values<float>(dcontext),
                    values<float>(dscores), values<float>(dh), begin, end);
  });
  for (int64_t layer = layers_of(saved_) - 1; layer >= 0; --layer) {
    const auto at = static_cast<std::size_t>(layer);
    saved_[kX].scalar_type() == at::kFloat ? cells<float>(layer, t) : cells<uint16_t>(layer, t);
    const at::Tensor doperand = products_[at](dgates_[at][t]);
    dh_[at].copy_(second_half(doperand));
    const at::Tensor below = first_half(doperand).to(at::kFloat);
    if (layer == 0) {
      dfed_ = below;
    } else {
      const at::Tensor& factors = saved_[kBetween];
      dh_[at - 1].add_(factors.defined() ? below * factors[layer - 1][t] : below);
    }
  }
}

/// weight_ih, weight_hh, bias_ih, bias_hh.
void Backward::add_layer(int64_t layer, Tensors& gradients) const {
  const at::Tensor dgates = dgates_[static_cast<std::size_t>(layer)].flatten(0, 1);
  const at::Tensor both = weight_gradient(dgates, of_layer(saved_, layer, kOperand).flatten(0, 1));
  const at::Tensor below = first_half(both), dbias = bias_gradient(dgates);
  const at::Tensor dweight_ih =
      layer > 0 ? below.contiguous()
                : at::cat({weight_gradient(dgates, saved_[kX].flatten(0, 1)), below}, 1);
  gradients.insert(gradients.end(), {dweight_ih, second_half(both).contiguous(), dbias, dbias});
}

/// Memory and query weight.
Tensors Backward::of_source() const {
  const auto type = saved_[kX].scalar_type();
  const auto by_sentence = [](const at::Tensor& steps) { return steps.transpose(0, 1); };
  const auto sum = [&](const at::Tensor& factors, const at::Tensor& rows) {  // [S n, size]
    return at::bmm(factors.permute({1, 2, 0}), by_sentence(rows)).transpose(0, 1).flatten(0, 1);
  };
  const at::Tensor dkeys = sum(dscores_, saved_[kTopH]).to(type);
  const at::Tensor dmemory =
      sum(saved_[kShare], dcontext_) + at::mm(dkeys, saved_[kQuery].t().to(type));
  const at::Tensor memory = saved_[kMemory].flatten(0, 1).to(type);
  return {dmemory.view(saved_[kMemory].sizes()), weight_gradient(memory, dkeys)};
}

/// x, memory, summary, query, output, and each layer's.
Tensors Backward::run(const at::Tensor& given) {
  for (int64_t t = steps_ - 1; t >= 0; --t) {
    step(t, dfed_.defined() ? given[t] + dfed_ : given[t]);
  }
  const auto type = saved_[kX].scalar_type();
  const at::Tensor of_targets = first_half(of_layer(saved_, 0, kWeightIh)).to(type);
  const at::Tensor dx = at::mm(dgates_[0].flatten(0, 1), of_targets).to(at::kFloat);
  const Tensors of_source = this->of_source();
  Tensors gradients = {dx.view(saved_[kX].sizes()), of_source[0],
                       at::stack({at::stack(dh_), at::stack(dc_)}), of_source[1],
                       weight_gradient(dprojected_.flatten(0, 1), saved_[kJoined].flatten(0, 1))};
  for (int64_t layer = 0; layer < layers_of(saved_); ++layer) add_layer(layer, gradients);
  return gradients;
}

}  // namespace

at::Tensor decoder_node(const DecoderWeights& weights, const at::Tensor& memory,
                        const at::Tensor& lengths, const at::Tensor& x, const at::Tensor& summary,
                        const DecoderDropout& dropout) {
  Tensors inputs = {x, memory, summary, weights.query.value, weights.output.value};
  for (const LstmLayer& layer : weights.layers) {
    inputs.insert(inputs.end(), {layer.weight_ih.value, layer.weight_hh.value, layer.bias_ih.value,
                                 layer.bias_hh.value});
  }
  return custom_gradient(inputs, [&] {
    CustomResult result = Forward(weights, memory, lengths, x, summary, dropout).run();
    result.backward = [](const Tensors& saved, const at::Tensor& dy) {
      return Backward(saved).run(dy);
    };
    return result;
  });
}

}  // namespace bitstill
