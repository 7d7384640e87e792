// The nodes of recurrent networks against the same step by step.
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/model/decoder_node.hpp"
#include "../../src/model/lstm_node.hpp"
#include "../../src/model/product.hpp"
#include "../base/every_target.hpp"
#include "bitstill/model/autocast.hpp"

namespace bitstill {
namespace {

/// Rows of about unit length: larger ones make states chaotic.
at::Tensor leaf(at::IntArrayRef sizes) {
  return at::randn(sizes).div_(std::sqrt(sizes.back())).set_requires_grad(true);
}

void fill(LstmLayer& layer) {
  for (Parameter* parameter :
       {&layer.weight_ih, &layer.weight_hh, &layer.bias_ih, &layer.bias_hh}) {
    parameter->value = leaf(parameter->value.sizes());
  }
}

at::Tensor lengths_up_to(int64_t longest, int64_t n) {  // an empty sentence among them
  return at::arange(n, at::kLong).mul_(3).remainder_(longest + 1);
}

/// What a function of the leaves gives, and its gradients for a sum with random weights.
template <class Function>
std::vector<at::Tensor> with_gradients(const std::vector<at::Tensor>& leaves, const Function& f) {
  std::vector<at::Tensor> results = f();
  at::Tensor total;
  at::manual_seed(7);
  for (const at::Tensor& result : results) {
    const at::Tensor part = (result * at::randn(result.sizes())).sum();
    total = total.defined() ? total + part : part;
  }
  for (const at::Tensor& one : leaves) one.mutable_grad() = at::Tensor();
  total.backward();
  for (const at::Tensor& one : leaves) results.push_back(one.grad().clone());
  return results;
}

double largest_difference(const at::Tensor& one, const at::Tensor& other) {
  return (one - other).abs().max().item<double>() / std::max(1.0, other.abs().max().item<double>());
}

void expect_equal(const std::vector<at::Tensor>& one, const std::vector<at::Tensor>& other,
                  double tolerance) {
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    ASSERT_EQ(one[i].sizes(), other[i].sizes()) << i;
    EXPECT_EQ(one[i].scalar_type(), at::kFloat) << i;
    EXPECT_LT(largest_difference(one[i], other[i]), tolerance) << i;
  }
}

/// Both ways of an LSTM layer over padded sentences.
struct LstmCase {
  LstmCase(int64_t steps, int64_t n, int64_t in, int64_t size)
      : layer("", "", in, size, at::kCPU),
        x(leaf({steps, n, in})),
        lengths(lengths_up_to(steps, n)) {
    fill(layer);
  }
  std::vector<at::Tensor> run(bool node, bool backward) {
    return with_gradients(
        {x, layer.weight_ih.value, layer.weight_hh.value, layer.bias_ih.value, layer.bias_hh.value},
        [&]() -> std::vector<at::Tensor> {
          const at::Tensor positions = at::arange(x.size(0), at::kLong).unsqueeze(1);
          const at::Tensor real = positions.lt(lengths.unsqueeze(0)).unsqueeze(2);
          LstmState last;
          const at::Tensor y = node ? lstm_node(layer, x, lengths, backward, {}, &last)
                                    : lstm_over(layer, x, real, backward, &last);
          return {y, last.h, last.c};
        });
  }
  LstmLayer layer;
  at::Tensor x, lengths;
};

TEST(RecurrentNodes, LstmIsThatOfSteps) {
  at::manual_seed(1);
  for (const auto& [steps, n, in, size] :
       {std::array<int64_t, 4>{6, 5, 4, 7}, {1, 1, 1, 1}, {3, 40, 20, 33}, {9, 2, 64, 16}}) {
    LstmCase one(steps, n, in, size);
    ASSERT_TRUE(takes_products(one.x));
    for (const bool backward : {false, true}) {
      const auto expected = one.run(false, backward);
      expect_equal(one.run(true, backward), expected, 1e-5);
      const AutocastScope bf16(true, at::kCPU);
      expect_equal(one.run(true, backward), expected, 0.04);
    }
  }
}

TEST(RecurrentNodes, LstmIsLibTorchs) {
  at::manual_seed(2);
  LstmLayer layer("", "", 5, 11, at::kCPU);
  fill(layer);
  const at::Tensor x = leaf({7, 3, 5}), h = leaf({3, 11}), c = leaf({3, 11});
  const std::vector<at::Tensor> weights = {layer.weight_ih.value, layer.weight_hh.value,
                                           layer.bias_ih.value, layer.bias_hh.value};
  std::vector<at::Tensor> leaves = {x, h, c};
  leaves.insert(leaves.end(), weights.begin(), weights.end());
  const auto own = with_gradients(leaves, [&]() -> std::vector<at::Tensor> {
    LstmState last;
    const at::Tensor y = lstm_node(layer, x, {}, false, {h, c}, &last);
    return {y, last.h, last.c};
  });
  const auto theirs = with_gradients(leaves, [&]() -> std::vector<at::Tensor> {
    const auto [y, last_h, last_c] =
        at::lstm(x, {h.unsqueeze(0), c.unsqueeze(0)}, weights, true, 1, 0.0, false, false, false);
    return {y, last_h[0], last_c[0]};
  });
  expect_equal(own, theirs, 1e-5);
}

struct DecoderCase {
  DecoderCase(int64_t layers, int64_t longest, int64_t steps, int64_t n, int64_t size)
      : lengths(lengths_up_to(longest, n)), x(leaf({steps, n, size})) {
    weights.input_feed = true;
    for (int64_t layer = 0; layer < layers; ++layer) {
      weights.layers.emplace_back("", "", layer == 0 ? 2 * size : size, size, at::kCPU);
      fill(weights.layers.back());
    }
    weights.query.value = leaf({size, size});
    weights.output.value = leaf({size, 2 * size});
    const at::Tensor positions = at::arange(longest, at::kLong).unsqueeze(0);
    masked = positions.ge(lengths.unsqueeze(1));
    memory = at::randn({longest, n, size}).masked_fill_(masked.t().unsqueeze(2), 0);
    memory.set_requires_grad(true);
    summary = leaf({2, layers, n, size});
  }
  void drop() {
    if (weights.layers.size() > 1) {
      dropout.between = at::rand({1, x.size(0), x.size(1), x.size(2)}).gt(0.3) * 1.5;
    }
    dropout.outputs = at::rand(x.sizes()).gt(0.3) * 1.5;
  }
  std::vector<at::Tensor> run(bool node) {
    std::vector<at::Tensor> leaves = {x, summary, weights.query.value, weights.output.value};
    for (const LstmLayer& layer : weights.layers) {
      leaves.insert(leaves.end(), {layer.weight_ih.value, layer.weight_hh.value,
                                   layer.bias_ih.value, layer.bias_hh.value});
    }
    leaves.push_back(memory);
    auto results = with_gradients(leaves, [&]() -> std::vector<at::Tensor> {
      return {
          node ? decoder_node(weights, memory, lengths, x, summary, dropout)
               : decode_stepwise(weights, {memory.transpose(0, 1), masked}, x, summary, dropout)};
    });
    // What a padded position's memory would give is nobody's gradient: the encoder leaves it 0.
    results.back().masked_fill_(masked.t().unsqueeze(2), 0);
    return results;
  }
  DecoderWeights weights{{}, {}, {}, true};
  at::Tensor lengths, x, masked, memory, summary;
  DecoderDropout dropout;
};

TEST(RecurrentNodes, DecoderIsThatOfSteps) {
  at::manual_seed(3);
  for (const auto& [layers, longest, steps, n, size] : {std::array<int64_t, 5>{1, 4, 5, 3, 7},
                                                        {2, 7, 6, 5, 10},
                                                        {1, 1, 1, 1, 1},
                                                        {1, 9, 4, 33, 40},
                                                        {2, 3, 8, 2, 17}}) {
    DecoderCase one(layers, longest, steps, n, size);
    for (const bool drops : {false, true}) {
      if (drops) one.drop();
      const auto expected = one.run(false);
      expect_equal(one.run(true), expected, 1e-5);
      const AutocastScope bf16(true, at::kCPU);
      expect_equal(one.run(true), expected, 0.06);
    }
  }
}

TEST(RecurrentNodes, EveryInstructionSetDoesThat) {
  at::manual_seed(4);
  LstmCase layer(5, 4, 6, 19);
  DecoderCase decoder(2, 6, 4, 3, 21);
  const auto of_layer = layer.run(false, true), of_decoder = decoder.run(false);
  on_every_target([&] {
    expect_equal(layer.run(true, true), of_layer, 1e-5);
    expect_equal(decoder.run(true), of_decoder, 1e-5);
    const AutocastScope bf16(true, at::kCPU);
    expect_equal(layer.run(true, true), of_layer, 0.04);
    expect_equal(decoder.run(true), of_decoder, 0.06);
  });
}

}  // namespace
}  // namespace bitstill
