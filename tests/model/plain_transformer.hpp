// A Transformer as its formulas say, in double, for one pair at a time and by LibTorch's autograd:
// what tests compare with.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bitstill/model/weights.hpp"

namespace bitstill {

class PlainTransformer {
 public:
  explicit PlainTransformer(const Network& network)
      : spec_(network.spec()), stored_(stored_names(network)) {
    for (const auto& [name, tensor] : named_tensors(network)) {
      values_[name] = tensor.to(at::kDouble).clone().set_requires_grad(true);
    }
  }

  /// Of a stored tensor.
  at::Tensor gradient(const std::string& name) const { return values_.at(name).grad(); }

  /// Of each target position, <s> first, [target + 1, classes].
  at::Tensor logits(const std::vector<int32_t>& source, const std::vector<int32_t>& target) const {
    return affine("generator", hidden(source, target));
  }

  /// Of each target position what the head takes.
  at::Tensor hidden(const std::vector<int32_t>& source, const std::vector<int32_t>& target) const {
    at::Tensor memory = embedded("encoder", ids_of(source));
    for (int64_t layer = 0; layer < spec_.layers; ++layer) {
      const std::string name = "encoder.transformer." + std::to_string(layer) + ".";
      const at::Tensor x = norm(name + "layer_norm", memory);
      memory = memory + attention(name + "self_attn", x, x, false);
      memory = memory + filter(name + "feed_forward", memory);
    }
    memory = norm("encoder.layer_norm", memory);
    std::vector<int64_t> words = ids_of(target);
    words.insert(words.begin(), spec_.ends.begin);
    at::Tensor y = embedded("decoder", words);
    for (int64_t layer = 0; layer < spec_.decoder_layers; ++layer) {
      const std::string name = "decoder.transformer_layers." + std::to_string(layer) + ".";
      const at::Tensor x = norm(name + "layer_norm_1", y);
      y = y + attention(name + "self_attn", x, x, true);
      y = y + attention(name + "context_attn", norm(name + "layer_norm_2", y), memory, false);
      y = y + filter(name + "feed_forward", y);
    }
    return norm("decoder.layer_norm", y);
  }

 private:
  static std::vector<int64_t> ids_of(const std::vector<int32_t>& ids) {
    return {ids.begin(), ids.end()};
  }
  const at::Tensor& of(const std::string& name) const { return values_.at(stored_.at(name)); }

  at::Tensor affine(const std::string& name, const at::Tensor& x) const {
    return at::matmul(x, of(name + ".weight").t()) + of(name + ".bias");
  }

  at::Tensor norm(const std::string& name, const at::Tensor& x) const {
    const at::Tensor centred = x - x.mean(-1, true);
    const at::Tensor deviation = ((centred * centred).mean(-1, true) + 1e-6).sqrt();
    return centred / deviation * of(name + ".weight") + of(name + ".bias");
  }

  at::Tensor embedded(const std::string& side, const std::vector<int64_t>& ids) const {
    const at::Tensor table = of(side + ".embeddings.make_embedding.emb_luts.0.weight");
    const at::Tensor rows =
        table.index_select(0, at::tensor(ids, at::kLong)) * std::sqrt(double(spec_.size));
    const at::Tensor even = at::arange(0, spec_.size, 2, at::kDouble);
    const at::Tensor angles =
        at::arange(static_cast<int64_t>(ids.size()), at::kDouble).unsqueeze(1) *
        (even * (-std::log(10000.0) / double(spec_.size))).exp();
    return rows + at::stack({angles.sin(), angles.cos()}, 2).flatten(1);
  }

  at::Tensor attention(const std::string& name, const at::Tensor& x, const at::Tensor& memory,
                       bool causal) const {
    const auto part = [&](const char* which, const at::Tensor& from) {
      return at::matmul(from, of(name + which).t());
    };
    const at::Tensor query = part(".linear_query.weight", x);
    const at::Tensor keys = part(".linear_keys.weight", memory);
    const at::Tensor values = part(".linear_values.weight", memory);
    const int64_t width = spec_.size / spec_.heads;
    std::vector<at::Tensor> contexts;
    for (int64_t first = 0; first < spec_.size; first += width) {
      at::Tensor scores =
          at::matmul(query.narrow(1, first, width), keys.narrow(1, first, width).t());
      scores = scores / std::sqrt(double(width));
      if (causal) {
        const double low = -std::numeric_limits<double>::infinity();
        scores = scores + at::full(scores.sizes(), low, scores.options()).triu(1);
      }
      contexts.push_back(at::matmul(at::softmax(scores, 1), values.narrow(1, first, width)));
    }
    return at::matmul(at::cat(contexts, 1), of(name + ".final_linear.weight").t());
  }

  at::Tensor filter(const std::string& name, const at::Tensor& x) const {
    return affine(name + ".w_2", at::relu(affine(name + ".w_1", norm(name + ".layer_norm", x))));
  }

  NetworkSpec spec_;
  std::map<std::string, std::string> stored_;
  std::map<std::string, at::Tensor> values_;
};

}  // namespace bitstill
