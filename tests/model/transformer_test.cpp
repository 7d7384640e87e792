// Transformers against their formulas and OpenNMT-py's own, padded batches against single
// sentences.
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bitstill/model/autocast.hpp"
#include "plain_transformer.hpp"
#include "sentences_fixture.hpp"
#include "transformer_golden.hpp"

namespace bitstill {
namespace {

at::Tensor logits_of(const Network& network, const Tokens& tokens, bool training) {
  ForwardMode mode;
  mode.training = training;
  return network.head(network.hidden(tokens, mode), mode);
}

void expect_near(const at::Tensor& one, const at::Tensor& other, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(one.sizes(), other.sizes()) << what;
  const double scale = std::max(1.0, other.abs().max().item<double>());
  EXPECT_LT((one - other).abs().max().item<double>(), tolerance * scale) << what;
}

TEST(Transformer, PaddedBatchIsTheFormulaOfEachSentence) {
  for (const TransformerShape& shape : kTransformerShapes) {
    const NetworkSpec spec = transformer_spec(shape);
    const auto network = transformer(spec);
    const PlainTransformer plain(*network);
    const auto pairs = random_pairs(spec, kLengths);
    const at::Tensor hidden = network->hidden(tokens_of(spec, pairs), {});
    for (const bool training : {false, true}) {
      const at::Tensor logits = logits_of(*network, tokens_of(spec, pairs), training);
      int64_t term = 0;
      for (const auto& [source, target] : pairs) {
        const auto terms = static_cast<int64_t>(target.size()) + 1;
        expect_near(hidden.narrow(0, term, terms), plain.hidden(source, target), 1e-5, "hidden");
        expect_near(logits.narrow(0, term, terms), plain.logits(source, target), 1e-5, "logits");
        term += terms;
      }
      EXPECT_EQ(term, logits.size(0));
    }
  }
}

TEST(Transformer, GradientsOfABatchAreTheFormulasOfItsSentences) {
  for (const TransformerShape& shape : kTransformerShapes) {
    const NetworkSpec spec = transformer_spec(shape);
    const auto network = transformer(spec);
    const PlainTransformer plain(*network);
    network->set_trainable(true);
    const auto pairs = random_pairs(spec, kLengths);
    const Tokens tokens = tokens_of(spec, pairs);
    const auto loss = [](const at::Tensor& logits, const at::Tensor& labels) {
      return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum);
    };
    loss(logits_of(*network, tokens, true), tokens.labels).backward();
    int64_t term = 0;
    for (const auto& [source, target] : pairs) {
      const at::Tensor logits = plain.logits(source, target);
      loss(logits, tokens.labels.narrow(0, term, logits.size(0))).backward();
      term += logits.size(0);
    }
    for (const Parameter* parameter : network->parameters()) {
      expect_near(parameter->value.grad(), plain.gradient(parameter->name), 2e-5, parameter->name);
    }
  }
}

TEST(Transformer, IsOpenNmts) {
  NetworkSpec spec = transformer_spec({2, 1, 8, 2, 12, Tie::none});
  spec.source_pieces = 11;
  spec.classes = 9;
  const auto network = make_network(spec);
  std::map<std::string, Parameter*> sorted;
  for (Parameter* parameter : network->parameters()) sorted[parameter->name] = parameter;
  int number = 0;
  for (const auto& [name, parameter] : sorted) {
    const bool scale = parameter->role == ParameterRole::norm && name.ends_with("weight");
    float* const value = parameter->value.mutable_data_ptr<float>();
    for (int64_t i = 0; i < parameter->value.numel(); ++i) {
      value[i] = static_cast<float>(std::sin(double(i) * 1.7 + number) * 0.5 + (scale ? 1 : 0));
    }
    ++number;
  }
  const Tokens tokens = tokens_of(spec, {{{3, 10, 4, 7}, {5, 8}}, {{9, 2}, {3, 4, 6}}});
  const at::Tensor logits = logits_of(*network, tokens, false);
  ASSERT_EQ(logits.size(0), static_cast<int64_t>(kOpenNmtLogits.size()));
  for (std::size_t row = 0; row < kOpenNmtLogits.size(); ++row) {
    expect_near(logits[static_cast<int64_t>(row)], at::tensor(kOpenNmtLogits[row], at::kDouble),
                1e-5, std::to_string(row));
  }
}

TEST(Transformer, Bf16IsNearFp32) {
  const NetworkSpec spec = transformer_spec({2, 2, 64, 4, 128});
  const auto network = transformer(spec, 1);
  const Tokens tokens = tokens_of(spec, random_pairs(spec, kLengths));
  const at::Tensor whole = logits_of(*network, tokens, true);
  const AutocastScope precision(true, at::kCPU);
  const at::Tensor rounded = logits_of(*network, tokens, true).to(at::kFloat);
  EXPECT_FALSE(at::equal(rounded, whole));
  EXPECT_TRUE(at::allclose(rounded, whole, 0.05, 0.05));
}

TEST(Transformer, ASourceWithoutWordsDoesNotDependOnTheBatch) {
  const NetworkSpec spec = transformer_spec({2, 2});
  const auto network = transformer(spec);
  network->set_trainable(true);
  const Pair empty = {{}, {3, 4}};
  const at::Tensor alone = logits_of(*network, tokens_of(spec, {empty}), true);
  const Tokens both = tokens_of(spec, {empty, {{5, 6, 7}, {8}}});
  const at::Tensor beside = logits_of(*network, both, true);
  EXPECT_TRUE(at::isfinite(alone).all().item<bool>());
  EXPECT_TRUE(at::allclose(alone, beside.narrow(0, 0, 3), 1e-5, 1e-5));
  at::cross_entropy_loss(beside, both.labels).backward();
  for (const Parameter* parameter : network->parameters()) {
    EXPECT_TRUE(at::isfinite(parameter->value.grad()).all().item<bool>()) << parameter->name;
  }
  EXPECT_EQ(network->hidden(tokens_of(spec, {}), {}).sizes(), (at::IntArrayRef{0, 8}));
}

TEST(Transformer, DropoutIsDrawnFromTheSeed) {
  NetworkSpec spec = transformer_spec({2, 2});
  spec.dropout = {0.3};
  const auto network = transformer(spec);
  const Tokens tokens = tokens_of(spec, random_pairs(spec, kLengths));
  ForwardMode mode;
  mode.training = true;
  mode.dropout_seed = 5;
  const at::Tensor one = network->hidden(tokens, mode);
  EXPECT_TRUE(at::equal(one, network->hidden(tokens, mode)));
  mode.dropout_seed = 6;
  EXPECT_FALSE(at::allclose(one, network->hidden(tokens, mode), 0.1, 0.1));
  mode.dropout = false;
  EXPECT_TRUE(at::allclose(network->hidden(tokens, mode), network->hidden(tokens, {})));
  // Places do not share their draws: those of the embeddings are 0 in other units.
  Flow flow;
  flow.tokens = &tokens;
  mode.dropout = true;
  std::vector<at::Tensor> kept;
  for (const std::size_t unit : {0, 4}) {  // both embeddings
    network->units()[unit]->pass(flow, mode);
    kept.push_back(flow.x.narrow(0, 0, 6).ne(0));
    EXPECT_NEAR(kept.back().to(at::kDouble).mean().item<double>(), 0.7, 0.1);
  }
  EXPECT_FALSE(at::equal(kept[0], kept[1]));
}

std::vector<std::string> names_of(const TransformerShape& shape) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(*make_network(transformer_spec(shape)))) {
    names.push_back(name);
  }
  return names;
}

TEST(Transformer, TiesAreOneTensor) {
  const std::string head = "generator.weight";
  const std::string target = "decoder.embeddings.make_embedding.emb_luts.0.weight";
  const auto has = [](Tie tie, const std::string& name) {
    const auto names = names_of({1, 1, 8, 2, 12, tie});
    return std::count(names.begin(), names.end(), name) == 1;
  };
  EXPECT_TRUE(has(Tie::none, head) && has(Tie::none, target));
  EXPECT_TRUE(!has(Tie::decoder, head) && has(Tie::decoder, target));
  EXPECT_TRUE(!has(Tie::all, head) && !has(Tie::all, target));
}

TEST(Transformer, StartsByXavierWithUnitNorms) {
  const auto network = make_network(transformer_spec({1, 1, 64, 4, 256}));
  initialize(*network, 4);
  for (const Parameter* parameter : network->parameters()) {
    const at::Tensor value = parameter->value;
    if (parameter->role != ParameterRole::weight) {
      const bool scale =
          parameter->role == ParameterRole::norm && parameter->name.ends_with("weight");
      EXPECT_TRUE(value.eq(scale ? 1 : 0).all().item<bool>()) << parameter->name;
      continue;
    }
    const double bound = std::sqrt(6.0 / static_cast<double>(value.size(0) + value.size(1)));
    EXPECT_LE(value.abs().max().item<double>(), bound) << parameter->name;
    EXPECT_GT(value.abs().max().item<double>(), 0.95 * bound) << parameter->name;
    EXPECT_NEAR(value.mean().item<double>(), 0, 0.1 * bound) << parameter->name;
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

TEST(Transformer, RefusesWhatDoesNotFit) {
  const auto expect = [](const char* part, void (*change)(NetworkSpec&)) {
    NetworkSpec spec = transformer_spec({});
    change(spec);
    EXPECT_NE(refusal(spec).find(part), std::string::npos) << refusal(spec);
  };
  expect("size 7 is odd", [](NetworkSpec& spec) { spec.size = spec.heads = 7; });
  expect("size 100 does not divide into 8 heads",
         [](NetworkSpec& spec) { spec.size = 100, spec.heads = 8; });
  expect("heads = 0", [](NetworkSpec& spec) { spec.heads = 0; });
  expect("filter = -1", [](NetworkSpec& spec) { spec.filter = -1; });
  expect("decoder_layers = -1", [](NetworkSpec& spec) { spec.decoder_layers = -1; });
  expect("joint vocabulary", [](NetworkSpec& spec) { spec.tie = Tie::all, spec.classes = 20; });
  expect("dropout", [](NetworkSpec& spec) { spec.dropout = {0.1, 0.2}; });
  expect("parameters", [](NetworkSpec& spec) { spec.size = 65536, spec.layers = 1000; });
}

TEST(Transformer, SpecIsCompletedAndSurvivesJson) {
  NetworkSpec spec = transformer_spec({3, 0, 12, 3, 0, Tie::decoder});
  const Json good = to_json(completed(spec));
  EXPECT_EQ(good["decoder_layers"], 3);
  EXPECT_EQ(good["filter"], 48);
  EXPECT_FALSE(good.contains("input_feed"));
  const NetworkSpec back = network_spec_from_json(good, "file", ExitCode::model);
  EXPECT_EQ(to_json(back), good);
  EXPECT_TRUE(of_sentences(back));
  for (const auto& [name, value] : std::vector<std::pair<std::string, Json>>{
           {"heads", 0}, {"heads", "two"}, {"filter", 65537}, {"decoder_layers", 1001}}) {
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
