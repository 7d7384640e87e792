// A decoder asked step by step against the whole target at once.
#include "bitstill/model/step_decoder.hpp"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "../../src/model/recurrent_step_decoder.hpp"
#include "../../src/model/transformer_step_decoder.hpp"
#include "sentences_fixture.hpp"

namespace bitstill {
namespace {

std::vector<std::unique_ptr<Network>> all_networks() {
  std::vector<std::unique_ptr<Network>> all;
  for (const Shape& shape : kShapes) all.push_back(lstm(lstm_spec(shape)));
  for (const TransformerShape& shape : kTransformerShapes) {
    all.push_back(transformer(transformer_spec(shape)));
  }
  return all;
}

/// The network's own decoder, and the one by operators.
std::vector<std::unique_ptr<StepDecoder>> decoders_of(const Network& network, bool bf16) {
  std::vector<std::unique_ptr<StepDecoder>> all;
  all.push_back(make_step_decoder(network, bf16));
  all.push_back(network.spec().kind == "lstm" ? plain_step_decoder(network, bf16)
                                              : plain_transformer_decoder(network, bf16));
  return all;
}

DecoderState picked(const DecoderState& state, const at::Tensor& which) {
  DecoderState result;
  for (const at::Tensor& part : state) result.push_back(part.index_select(0, which));
  return result;
}

/// Logits after <s> and after each token of the targets, all sentences at each step; those past a
/// sentence's end are dropped.
at::Tensor forced(StepDecoder& decoder, const Tokens& tokens) {
  DecoderState state = decoder.begin(tokens);
  std::vector<at::Tensor> steps;
  for (int64_t t = 0; t < tokens.target.size(0); ++t) {
    steps.push_back(decoder.next(&state, tokens.target[t]));
  }
  return at::stack(steps).flatten(0, 1).index_select(0, tokens.rows);
}

TEST(StepDecoder, StepsAreTheWholeTargets) {
  for (const auto& network : all_networks()) {
    const NetworkSpec& spec = network->spec();
    const Tokens tokens = tokens_of(spec, random_pairs(spec, kLengths));
    const at::Tensor whole = network->head(network->hidden(tokens, {}), {});
    for (const auto& decoder : decoders_of(*network, false)) {
      EXPECT_TRUE(at::allclose(forced(*decoder, tokens), whole, 1e-5, 1e-4));
    }
  }
}

TEST(StepDecoder, Bf16IsNearFp32) {
  const auto expect_near = [](const Network& network, double tolerance) {
    const Tokens tokens = tokens_of(network.spec(), random_pairs(network.spec(), kLengths));
    const at::Tensor whole = network.head(network.hidden(tokens, {}), {});
    for (const auto& decoder : decoders_of(network, true)) {
      const at::Tensor rounded = forced(*decoder, tokens);
      EXPECT_EQ(rounded.scalar_type(), at::kFloat);
      EXPECT_FALSE(at::equal(rounded, whole));
      EXPECT_TRUE(at::allclose(rounded, whole, tolerance, tolerance));
    }
  };
  expect_near(*lstm(lstm_spec({2, 32, true}), 2), 0.02);
  expect_near(*transformer(transformer_spec({2, 2, 64, 4, 128}), 1), 0.05);
}

void expect_paths(const NetworkSpec& spec, StepDecoder* decoder) {
  const auto pairs = random_pairs(spec, kLengths);
  const at::Tensor begin = at::full({5}, spec.ends.begin, at::kLong);
  DecoderState state = decoder->begin(tokens_of(spec, pairs));
  const at::Tensor first = decoder->next(&state, begin);
  const at::Tensor which = at::tensor({4, 1, 1, 2}, at::kLong);
  DecoderState moved = picked(state, which);
  const at::Tensor tokens = at::tensor({3, 9, 4, 7}, at::kLong);
  const at::Tensor next = decoder->next(&moved, tokens);
  ASSERT_EQ(next.sizes(), (at::IntArrayRef{4, spec.classes}));
  for (const at::Tensor& part : moved) EXPECT_EQ(part.size(0), 4);
  // The same path of each alone; begin() takes other sources.
  for (int64_t i = 0; i < 4; ++i) {
    const auto sentence = static_cast<std::size_t>(which[i].item<int64_t>());
    DecoderState alone = decoder->begin(tokens_of(spec, {pairs[sentence]}));
    EXPECT_TRUE(at::allclose(decoder->next(&alone, begin.narrow(0, 0, 1))[0],
                             first[which[i].item<int64_t>()], 1e-5, 1e-4));
    EXPECT_TRUE(
        at::allclose(decoder->next(&alone, tokens.narrow(0, i, 1))[0], next[i], 1e-5, 1e-4));
  }
}

TEST(StepDecoder, HypothesesAreReorderedRepeatedAndDropped) {
  for (const auto& network : all_networks()) {
    for (const auto& decoder : decoders_of(*network, false)) {
      expect_paths(network->spec(), decoder.get());
    }
  }
}

TEST(StepDecoder, AHypothesisDoesNotDependOnOthersToTheBit) {
  auto networks = all_networks();
  networks.push_back(transformer(transformer_spec({1, 1, 256, 8, 512}), 1));  // of usual widths
  for (const auto& network : networks) {
    const NetworkSpec& spec = network->spec();
    const auto pairs = random_pairs(spec, kLengths);
    for (const bool bf16 : {false, true}) {
      const auto decoder = make_step_decoder(*network, bf16);
      const at::Tensor together = forced(*decoder, tokens_of(spec, pairs));
      int64_t term = 0;
      for (const Pair& pair : pairs) {
        const at::Tensor alone = forced(*decoder, tokens_of(spec, {pair}));
        EXPECT_TRUE(at::equal(alone, together.narrow(0, term, alone.size(0)))) << term;
        term += alone.size(0);
      }
    }
  }
}

TEST(StepDecoder, ImagesHaveNone) {
  NetworkSpec spec;
  spec.input = {1, 4, 4};
  spec.classes = 3;
  spec.widths = {2};
  spec.kernels = {3};
  const auto network = make_network(spec);
  EXPECT_THROW(make_step_decoder(*network, false), Error);
}

}  // namespace
}  // namespace bitstill
