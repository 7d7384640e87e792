// Networks of sentences against their formulas in plain loops, and padded batches against single
// sentences.
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include <set>

#include "plain_translation.hpp"
#include "sentences_fixture.hpp"

namespace bitstill {
namespace {

std::vector<int64_t> list(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.flatten().contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

TEST(Tokens, ArePaddedPickedAndLabelled) {
  NetworkSpec spec = lstm_spec({});
  spec.ends = {7, 8};
  const Tokens tokens = tokens_of(spec, {{{3, 4}, {5}}, {{6}, {}}, {{9, 10, 2}, {1, 4}}});
  EXPECT_EQ(tokens.source.sizes(), (at::IntArrayRef{3, 3}));
  EXPECT_EQ(list(tokens.source), (std::vector<int64_t>{3, 6, 9, 4, 0, 10, 0, 0, 2}));
  EXPECT_EQ(list(tokens.source_lengths), (std::vector<int64_t>{2, 1, 3}));
  EXPECT_EQ(list(tokens.target), (std::vector<int64_t>{7, 7, 7, 5, 0, 1, 0, 0, 4}));
  EXPECT_EQ(list(tokens.target_lengths), (std::vector<int64_t>{2, 1, 3}));
  EXPECT_EQ(list(tokens.rows), (std::vector<int64_t>{0, 3, 1, 2, 5, 8}));
  EXPECT_EQ(list(tokens.labels), (std::vector<int64_t>{5, 8, 8, 1, 4, 8}));
  EXPECT_EQ(tokens.sentences(), 3);
  EXPECT_EQ(tokens.terms(), 6);
}

Row row_of(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

void expect_near(const Row& one, const Row& other, double tolerance) {
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], other[i], tolerance) << i;
}

TEST(Recurrent, PaddedBatchIsTheFormulaOfEachSentence) {
  for (const Shape& shape : kShapes) {
    const NetworkSpec spec = lstm_spec(shape);
    const auto network = lstm(spec);
    const PlainTranslation plain(*network);
    const auto pairs = random_pairs(spec, kLengths);
    for (const bool training : {false, true}) {
      ForwardMode mode;
      mode.training = training;
      const at::Tensor hidden = network->hidden(tokens_of(spec, pairs), mode);
      const at::Tensor logits = network->head(hidden, mode);
      ASSERT_EQ(logits.size(1), spec.classes);
      int64_t term = 0;
      for (const auto& [source, target] : pairs) {
        const Rows expected = plain.hidden(source, target), answers = plain.logits(expected);
        for (std::size_t t = 0; t < expected.size(); ++t, ++term) {
          expect_near(row_of(hidden[term]), expected[t], 1e-5);
          expect_near(row_of(logits[term]), answers[t], 1e-4);
        }
      }
      EXPECT_EQ(term, hidden.size(0));
    }
  }
}

at::Tensor loss_of(const Network& network, const Tokens& tokens) {
  ForwardMode mode;
  mode.training = true;
  const at::Tensor logits = network.head(network.hidden(tokens, mode), mode);
  return at::cross_entropy_loss(logits, tokens.labels, {}, 2);  // their sum
}

TEST(Recurrent, GradientsAreTheDifferencesOfTheFormula) {
  for (const Shape& shape : kShapes) {
    const NetworkSpec spec = lstm_spec(shape);
    const auto network = lstm(spec, 6);
    network->set_trainable(true);
    PlainTranslation plain(*network);
    const auto pairs = random_pairs(spec, kLengths);
    const auto total = [&] {
      double sum = 0;
      for (const auto& [source, target] : pairs) sum += plain.loss(source, target);
      return sum;
    };
    const at::Tensor loss = loss_of(*network, tokens_of(spec, pairs));
    EXPECT_NEAR(loss.item<double>(), total(), 1e-4 * total());
    loss.backward();
    RandomStream stream(5, StreamPurpose::order);
    for (const Parameter* parameter : network->parameters()) {
      const Row gradient = row_of(parameter->value.grad());
      for (int draw = 0; draw < 5; ++draw) {
        const std::size_t i = stream.below(gradient.size());
        constexpr double kStep = 1e-4;
        double& value = plain.value(parameter->name, i);
        const double before = value;
        value = before + kStep;
        const double above = total();
        value = before - kStep;
        const double slope = (above - total()) / (2 * kStep);
        value = before;
        EXPECT_NEAR(gradient[i], slope, 1e-4 * std::max(1.0, std::fabs(slope)))
            << parameter->name << " " << i;
      }
    }
  }
}

TEST(Recurrent, GradientsOfABatchAreTheSumOfItsSentences) {
  for (const Shape& shape : kShapes) {
    const NetworkSpec spec = lstm_spec(shape);
    const auto batch = lstm(spec, 5), single = lstm(spec, 5);
    batch->set_trainable(true);
    single->set_trainable(true);
    const auto pairs = random_pairs(spec, kLengths);
    loss_of(*batch, tokens_of(spec, pairs)).backward();
    for (const Pair& pair : pairs) loss_of(*single, tokens_of(spec, {pair})).backward();
    for (std::size_t i = 0; i < batch->parameters().size(); ++i) {
      EXPECT_TRUE(at::allclose(batch->parameters()[i]->value.grad(),
                               single->parameters()[i]->value.grad(), 1e-5, 1e-5))
          << batch->parameters()[i]->name;
    }
  }
}

TEST(Recurrent, ASourceWithoutWordsDoesNotDependOnTheBatch) {
  const NetworkSpec spec = lstm_spec({2, 6, true});
  const auto network = lstm(spec);
  const Pair empty = {{}, {3, 4}};
  const at::Tensor alone = network->hidden(tokens_of(spec, {empty}), {});
  const at::Tensor beside = network->hidden(tokens_of(spec, {empty, {{5, 6, 7}, {8}}}), {});
  EXPECT_TRUE(at::isfinite(alone).all().item<bool>());
  EXPECT_TRUE(at::allclose(alone, beside.narrow(0, 0, 3), 1e-5, 1e-6));
  EXPECT_EQ(network->hidden(tokens_of(spec, {}), {}).sizes(), (at::IntArrayRef{0, 6}));
}

TEST(Recurrent, DropoutIsDrawnFromTheSeed) {
  NetworkSpec spec = lstm_spec({2, 6, true});
  spec.dropout = {0.3};
  const auto network = lstm(spec);
  const Tokens tokens = tokens_of(spec, random_pairs(spec, kLengths));
  ForwardMode mode;
  mode.training = true;
  mode.dropout_seed = 5;
  const at::Tensor one = network->hidden(tokens, mode);
  EXPECT_TRUE(at::equal(one, network->hidden(tokens, mode)));
  const double zeros = (one == 0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(zeros, 0.3, 0.15);  // of 150 outputs
  mode.dropout_seed = 6;
  EXPECT_FALSE(at::equal(one, network->hidden(tokens, mode)));
  mode.dropout = false;
  EXPECT_TRUE(at::allclose(network->hidden(tokens, mode), network->hidden(tokens, {})));
}

std::vector<std::string> names_of(const Shape& shape) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(*make_network(lstm_spec(shape)))) {
    names.push_back(name);
  }
  return names;
}

TEST(Recurrent, NamesAreOpenNmts) {
  EXPECT_EQ(
      names_of({}),
      (std::vector<std::string>{
          "encoder.embeddings.make_embedding.emb_luts.0.weight", "encoder.rnn.weight_ih_l0",
          "encoder.rnn.weight_hh_l0", "encoder.rnn.bias_ih_l0", "encoder.rnn.bias_hh_l0",
          "decoder.embeddings.make_embedding.emb_luts.0.weight", "decoder.rnn.layers.0.weight_ih",
          "decoder.rnn.layers.0.weight_hh", "decoder.rnn.layers.0.bias_ih",
          "decoder.rnn.layers.0.bias_hh", "decoder.attn.linear_in.weight",
          "decoder.attn.linear_out.weight", "generator.weight", "generator.bias"}));
  const auto has = [](const Shape& shape, const char* name) {
    const auto names = names_of(shape);
    return std::count(names.begin(), names.end(), name) == 1;
  };
  Shape shape{2, 6, true, false, true, Tie::all};
  EXPECT_TRUE(has(shape, "encoder.rnn.weight_hh_l1_reverse"));
  EXPECT_TRUE(has(shape, "decoder.rnn.bias_hh_l1"));
  EXPECT_TRUE(has(shape, "encoder.bridge.1.bias"));
  EXPECT_FALSE(has(shape, "decoder.embeddings.make_embedding.emb_luts.0.weight"));
  EXPECT_FALSE(has(shape, "generator.weight"));
  shape.tie = Tie::decoder;
  EXPECT_TRUE(has(shape, "decoder.embeddings.make_embedding.emb_luts.0.weight"));
  EXPECT_FALSE(has(shape, "generator.weight"));
}

std::set<std::string> flagged(Tie tie, bool Parameter::*flag) {
  Shape shape;
  shape.tie = tie;
  std::set<std::string> names;
  const auto network = make_network(lstm_spec(shape));
  for (const Parameter* parameter : network->parameters()) {
    if (parameter->*flag && parameter->role == ParameterRole::weight) names.insert(parameter->name);
  }
  return names;
}

TEST(Recurrent, FirstAndLastLayerFollowTheTies) {
  const std::string source = "encoder.embeddings.make_embedding.emb_luts.0.weight";
  const std::string target = "decoder.embeddings.make_embedding.emb_luts.0.weight";
  using Names = std::set<std::string>;
  EXPECT_EQ(flagged(Tie::none, &Parameter::first_layer), Names{source});
  EXPECT_EQ(flagged(Tie::none, &Parameter::last_layer), Names{"generator.weight"});
  EXPECT_EQ(flagged(Tie::decoder, &Parameter::first_layer), Names{source});
  EXPECT_EQ(flagged(Tie::decoder, &Parameter::last_layer), Names{target});
  EXPECT_EQ(flagged(Tie::all, &Parameter::first_layer), Names{source});
  EXPECT_EQ(flagged(Tie::all, &Parameter::last_layer), Names{source});
}

TEST(Recurrent, StartsUniformWithBiases) {
  const auto network = make_network(lstm_spec({1, 64, true}));
  initialize(*network, 4);
  for (const Parameter* parameter : network->parameters()) {
    EXPECT_LE(parameter->value.abs().max().item<double>(), 0.1) << parameter->name;
    if (parameter->value.numel() < 100) continue;
    EXPECT_GT(parameter->value.abs().max().item<double>(), 0.09) << parameter->name;
    EXPECT_NEAR(parameter->value.mean().item<double>(), 0, 0.02) << parameter->name;
  }
}

std::string refusal(const NetworkSpec& spec) {
  try {
    make_network(spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "accepted";
}

TEST(Recurrent, RefusesWhatDoesNotFit) {
  const auto expect = [](const char* part, void (*change)(NetworkSpec&)) {
    NetworkSpec spec = lstm_spec({});
    change(spec);
    EXPECT_NE(refusal(spec).find(part), std::string::npos) << refusal(spec);
  };
  expect("odd", [](NetworkSpec& spec) { spec.bidirectional = true, spec.size = 7; });
  expect("joint vocabulary", [](NetworkSpec& spec) { spec.tie = Tie::all; });
  expect("layers", [](NetworkSpec& spec) { spec.layers = 0; });
  expect("size", [](NetworkSpec& spec) { spec.size = -1; });
  expect("source_pieces", [](NetworkSpec& spec) { spec.source_pieces = 0; });
  expect("end", [](NetworkSpec& spec) { spec.ends.end = spec.classes; });
  expect("dropout", [](NetworkSpec& spec) { spec.dropout = {0.1, 0.2}; });
  expect("parameters", [](NetworkSpec& spec) { spec.size = 65536, spec.layers = 1000; });
}

TEST(Recurrent, SpecSurvivesJsonAndStrangersAreChecked) {
  NetworkSpec spec = lstm_spec({2, 6, true, false, true, Tie::decoder});
  spec.ends = {3, 5};
  const Json good = to_json(completed(spec));
  EXPECT_FALSE(good.contains("input"));
  EXPECT_FALSE(good.contains("widths"));
  const NetworkSpec back = network_spec_from_json(good, "file", ExitCode::model);
  EXPECT_EQ(to_json(back), good);
  EXPECT_EQ(back.tie, Tie::decoder);
  EXPECT_EQ(back.ends.begin, 3);
  EXPECT_TRUE(of_sentences(back));
  EXPECT_FALSE(of_sentences(NetworkSpec()));
  const std::vector<std::pair<std::string, Json>> edits = {
      {"tie", "both"},        {"tie", 1},
      {"layers", 0},          {"layers", 1001},
      {"size", 65537},        {"end", -1},
      {"bidirectional", 1},   {"begin", 13},
      {"source_pieces", "a"}, {"source_pieces", int64_t{1} << 40}};
  for (const auto& [name, value] : edits) {
    Json bad = good;
    bad[name] = value;
    EXPECT_THROW(network_spec_from_json(bad, "file", ExitCode::model), Error) << name << value;
  }
  for (const auto& item : good.items()) {
    Json bad = good;
    bad.erase(item.key());
    EXPECT_THROW(network_spec_from_json(bad, "file", ExitCode::model), Error) << item.key();
  }
}

}  // namespace
}  // namespace bitstill
