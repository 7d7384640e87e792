#include "bitstill/model/network.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "bitstill/base/random.hpp"
#include "bitstill/model/blocks.hpp"
#include "bitstill/model/dropout.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

NetworkSpec spec_of(const std::string& kind, ImageShape input = {3, 32, 32}, int64_t classes = 10) {
  NetworkSpec spec;
  spec.kind = kind;
  spec.input = input;
  spec.classes = classes;
  return spec;
}

NetworkSpec small_spec() {
  NetworkSpec spec = spec_of("convnet", {3, 9, 7}, 4);
  spec.widths = {5, 3};
  spec.kernels = {3};
  spec.pools = {2};
  spec.hidden = {11};
  return spec;
}

std::string refusal(const NetworkSpec& spec, int64_t most = int64_t{1} << 30) {
  try {
    make_network(spec, most);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "accepted";
}

TEST(Network, CountsAreThePapers) {
  const std::vector<std::pair<std::string, int64_t>> table = {{"teacher", 5346142},
                                                              {"student1", 1000235},
                                                              {"student2", 318415},
                                                              {"student3", 111935},
                                                              {"deeper", 5825396}};
  for (const auto& [kind, count] : table) {
    EXPECT_EQ(make_network(spec_of(kind))->parameter_count(), count) << kind;
    EXPECT_NE(refusal(spec_of(kind), count - 1).find(std::to_string(count)), std::string::npos);
    EXPECT_EQ(refusal(spec_of(kind), count), "accepted");
  }
  EXPECT_EQ(network_kinds().size(), 14u);
}

TEST(Network, NamesArePyTorchs) {
  const auto network = make_network(spec_of("student3"));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_tensors(*network)) names.push_back(name);
  const std::vector<std::string> expected = {
      "0.weight",        "0.bias",         "2.weight",       "2.bias",          "3.weight",
      "3.bias",          "5.weight",       "5.bias",         "7.weight",        "7.bias",
      "9.weight",        "9.bias",         "10.weight",      "10.bias",         "12.weight",
      "12.bias",         "15.weight",      "15.bias",        "17.weight",       "17.bias",
      "18.weight",       "18.bias",        "2.running_mean", "2.running_var",   "5.running_mean",
      "5.running_var",   "9.running_mean", "9.running_var",  "12.running_mean", "12.running_var",
      "17.running_mean", "17.running_var"};
  EXPECT_EQ(names, expected);
  EXPECT_TRUE(network->parameters().front()->first_layer);
  EXPECT_TRUE(network->parameters().back()->last_layer);
  EXPECT_FALSE(network->parameters().front()->last_layer);
}

TEST(Network, ScalesToOddInputs) {
  for (const ImageShape input :
       {ImageShape{1, 28, 28}, ImageShape{3, 33, 31}, ImageShape{1, 8, 9}}) {
    for (const char* kind : {"student3", "student2"}) {
      const auto network = make_network(spec_of(kind, input, 7));
      initialize(*network, 3);
      const at::Tensor x = at::randn({2, input.channels, input.height, input.width});
      EXPECT_EQ(network->forward(x, {}).sizes(), (at::IntArrayRef{2, 7}));
    }
  }
}

TEST(Network, RefusesWhatDoesNotFit) {
  EXPECT_NE(refusal(spec_of("teacher", {3, 4, 32})).find("leaves no pixel"), std::string::npos);
  EXPECT_NE(refusal(spec_of("studnet1")).find("did you mean student1"), std::string::npos);
  NetworkSpec spec = small_spec();
  spec.kernels = {3, 3, 3};
  EXPECT_NE(refusal(spec).find("kernels has 3 values for 2 layers"), std::string::npos);
  spec.kernels = {4};
  EXPECT_NE(refusal(spec).find("even"), std::string::npos);
  spec = small_spec();
  spec.dropout = {0.1, 0.2};
  EXPECT_NE(refusal(spec).find("dropout"), std::string::npos);
  spec = small_spec();
  spec.pools = {3};
  EXPECT_NE(refusal(spec).find("pools"), std::string::npos);
  spec.pools = {1, 1};
  EXPECT_NE(refusal(spec).find("pools"), std::string::npos);
  spec = small_spec();
  spec.widths = {65536, 65536, 65536};
  EXPECT_NE(refusal(spec).find("parameters"), std::string::npos);
  EXPECT_NE(refusal(spec_of("convnet")).find("no layers"), std::string::npos);
}

TEST(Network, SpecSurvivesJson) {
  NetworkSpec spec = make_network(spec_of("student1"))->spec();
  const NetworkSpec back = network_spec_from_json(to_json(spec), "file", ExitCode::model);
  EXPECT_EQ(to_json(back), to_json(spec));
  EXPECT_EQ(back.kernels, (std::vector<int64_t>{5, 5, 5, 5}));
  EXPECT_EQ(back.dropout, (std::vector<double>{0, .2, 0, .3, .4}));
}

TEST(Network, JsonFromStrangersIsChecked) {
  const Json good = to_json(small_spec());
  const std::vector<std::pair<std::string, Json>> edits = {
      {"kind", 3},           {"kind", std::string(65, 'x')},
      {"classes", 0},        {"classes", 1.5},
      {"classes", "10"},     {"widths", 5},
      {"widths", {0}},       {"widths", {65537}},
      {"widths", {-1}},      {"widths", {18446744073709551615ull}},
      {"kernels", {2}},      {"pools", {0}},
      {"hidden", {"a"}},     {"hidden", std::vector<int>(1001, 1)},
      {"dropout", {1.0}},    {"dropout", {-0.1}},
      {"dropout", {nullptr}}};
  for (const auto& [name, value] : edits) {
    Json bad = good;
    bad[name] = value;
    try {
      network_spec_from_json(bad, "file", ExitCode::model);
      ADD_FAILURE() << name << " = " << value << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      EXPECT_EQ(std::string(error.what()).rfind("file." + name, 0), 0u) << error.what();
    }
  }
  for (const auto& item : good.items()) {
    Json bad = good;
    bad.erase(item.key());
    EXPECT_THROW(network_spec_from_json(bad, "file", ExitCode::model), Error) << item.key();
  }
  EXPECT_THROW(network_spec_from_json(Json::array(), "file", ExitCode::model), Error);
}

TEST(Network, InitializationIsXavierByName) {
  const auto one = make_network(spec_of("student3")), two = make_network(spec_of("student3"));
  initialize(*one, 5);
  initialize(*two, 5);
  for (std::size_t i = 0; i < one->parameters().size(); ++i) {
    EXPECT_TRUE(at::equal(one->parameters()[i]->value, two->parameters()[i]->value));
  }
  const at::Tensor weight = one->parameters()[0]->value;  // [25, 3, 5, 5]
  const double bound = std::sqrt(6.0 / (25 * 28));
  EXPECT_LE(weight.abs().max().item<double>(), bound);
  EXPECT_GT(weight.abs().max().item<double>(), 0.98 * bound);
  EXPECT_NEAR(weight.std().item<double>(), bound / std::sqrt(3.0), 0.05 * bound);
  initialize(*two, 6);
  EXPECT_FALSE(at::equal(weight, two->parameters()[0]->value));
}

TEST(Network, FrozenBuildsNoGraphAndTrainableDoes) {
  const auto network = make_network(small_spec());
  initialize(*network, 1);
  const at::Tensor x = at::randn({2, 3, 9, 7});
  EXPECT_FALSE(network->forward(x, {}).requires_grad());
  network->set_trainable(true);
  EXPECT_TRUE(network->forward(x, {}).requires_grad());
  network->set_trainable(false);
  EXPECT_FALSE(network->forward(x, {}).requires_grad());
}

TEST(Network, KeepsNoState) {
  const auto network = make_network(small_spec());
  initialize(*network, 1);
  network->set_trainable(true);
  const at::Tensor x = at::randn({6, 3, 9, 7}), other = at::randn({3, 3, 9, 7}) * 5 + 2;
  ForwardMode training;
  training.training = true;
  const at::Tensor before = network->forward(x, {}), trained = network->forward(x, training);
  const at::Tensor statistics = network->buffers()[0]->statistics.clone();
  network->forward(other, training);
  EXPECT_FALSE(at::equal(network->buffers()[0]->statistics, statistics));
  EXPECT_TRUE(at::equal(network->forward(x, {}), before));
  EXPECT_TRUE(at::equal(network->forward(x, training), trained));
  EXPECT_TRUE(at::equal(network->buffers()[0]->statistics, statistics));
}

TEST(Network, EmptyBatchRunsForwardAndBackward) {
  NetworkSpec spec = small_spec();
  spec.dropout = {0.3};
  const auto network = make_network(spec);
  initialize(*network, 1);
  network->set_trainable(true);
  ForwardMode mode;
  mode.training = true;
  for (const bool synchronized : {false, true}) {
    if (synchronized) mode.sum_over_ranks = [](at::Tensor&) {};
    for (Parameter* parameter : network->parameters())
      parameter->value.mutable_grad() = at::Tensor();
    const at::Tensor y = network->forward(at::randn({0, 3, 9, 7}), mode);
    EXPECT_EQ(y.sizes(), (at::IntArrayRef{0, 4}));
    y.sum().backward();
    for (const Parameter* parameter : network->parameters()) {
      ASSERT_TRUE(parameter->value.grad().defined()) << parameter->name;
      EXPECT_EQ(parameter->value.grad().abs().sum().item<float>(), 0) << parameter->name;
    }
    for (const Buffer* buffer : network->buffers()) {
      EXPECT_TRUE(at::isfinite(buffer->statistics).all().item<bool>()) << buffer->name;
    }
  }
}

TEST(Network, ChannelsLastStaysAndAgrees) {
  const auto network = make_network(small_spec());
  initialize(*network, 1);
  const at::Tensor x = at::randn({4, 3, 9, 7}), last = x.contiguous(at::MemoryFormat::ChannelsLast);
  for (const bool training : {false, true}) {
    ForwardMode mode;
    mode.training = training;
    const at::Tensor hidden =
        network->units()[1]->forward(network->units()[0]->forward(last, mode), mode);
    EXPECT_TRUE(hidden.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(at::allclose(network->forward(last, mode), network->forward(x, mode), 1e-5, 1e-5));
  }
}

TEST(Dropout, ADevicesOwnOperationsDrawTheSameNumbers) {
  const std::array<uint32_t, 2> key = stream_key(7, StreamPurpose::dropout);
  const uint64_t place = (uint64_t{5} << 32) + 0xFFFFFFF0;
  const at::Tensor words = philox_blocks(key, place, 9, at::kCPU);
  RandomStream stream(7, StreamPurpose::dropout, place);
  for (int64_t i = 0; i < words.numel(); ++i) {
    ASSERT_EQ(words.flatten()[i].item<int64_t>(), int64_t{stream.next()}) << i;
  }
}

TEST(Dropout, FactorsAreThoseOfTheStreamForAnyNumberOfThreads) {
  ForwardMode mode;
  mode.training = true;
  mode.dropout_seed = 7;
  const at::Tensor factors = dropout_factors({3, 7, 1001}, 0.3, 2, mode, at::kCPU);
  const float* const value = factors.const_data_ptr<float>();
  RandomStream stream(7, StreamPurpose::dropout, 2);
  for (int64_t i = 0; i < factors.numel(); ++i) {
    ASSERT_EQ(value[i], stream.uniform() < 0.3 ? 0.0f : static_cast<float>(1 / 0.7)) << i;
  }
}

TEST(Network, DropoutDependsOnSeedAndUnitAlone) {
  const at::Tensor x = at::ones({50, 40, 2, 3});
  ForwardMode mode;
  mode.training = true;
  mode.dropout_seed = 9;
  const at::Tensor y = dropout(x, 0.3, 2, mode);
  EXPECT_TRUE(at::equal(y, dropout(x, 0.3, 2, mode)));
  EXPECT_FALSE(at::equal(y, dropout(x, 0.3, 3, mode)));
  const at::Tensor channels = y.amax({2, 3});  // whole channels fall
  EXPECT_TRUE(at::equal(channels, y.amin({2, 3})));
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 0.05);
  EXPECT_NEAR((channels == 0).sum().item<double>() / 2000, 0.3, 0.05);
  mode.dropout_seed = (uint64_t{1} << 32) + 9;  // all 64 bits count
  EXPECT_FALSE(at::equal(y, dropout(x, 0.3, 2, mode)));
  EXPECT_TRUE(at::equal(dropout(x, 0.3, 2, {}), x));
}

class Tied : public Unit {
 public:
  explicit Tied(const at::Tensor& shared) { weight_ = {"w", ParameterRole::weight, shared}; }
  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override {
    return x.mm(weight_.value);
  }
  std::vector<Parameter*> parameters() override { return {&weight_}; }

 private:
  Parameter weight_;
};

TEST(Network, TiedParametersAppearOnceAndStayTied) {
  const at::Tensor shared = at::randn({3, 3});
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<Tied>(shared));
  units.push_back(std::make_unique<Tied>(shared));
  Network network(spec_of("convnet"), std::move(units));
  EXPECT_EQ(network.parameters().size(), 1u);
  EXPECT_EQ(network.parameter_count(), 9);
  network.to(at::kCPU);
  network.parameters()[0]->value.set_data(at::ones({3, 3}));
  EXPECT_TRUE(at::equal(network.forward(at::ones({1, 3}), {}), at::ones({1, 3}) * 9));
}

TEST(Weights, RoundTripAndOneErrorForAll) {
  const auto from = make_network(small_spec()), to = make_network(small_spec());
  initialize(*from, 8);
  from->buffers()[1]->value.fill_(3);
  NamedTensors tensors = named_tensors(*from);
  tensors.emplace_back("2.num_batches_tracked", at::ones({}, at::kLong));
  assign(*to, tensors, "file");
  for (std::size_t i = 0; i < from->parameters().size(); ++i) {
    EXPECT_TRUE(at::equal(from->parameters()[i]->value, to->parameters()[i]->value));
  }
  EXPECT_EQ(to->buffers()[1]->value[0].item<float>(), 3);

  const at::Tensor kept = to->parameters()[2]->value.clone();
  tensors[0].first = "0.wieght";
  tensors[1].second = at::ones({6});
  tensors[2].second = at::ones({5}, at::kLong);
  tensors.emplace_back("9.bias", at::ones({1}));
  tensors.emplace_back("2.bias", at::ones({5}));
  try {
    assign(*to, tensors, "run/teacher.safetensors");
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.code(), ExitCode::model);
    EXPECT_EQ(text.rfind("run/teacher.safetensors", 0), 0u);
    for (const char* part : {"missing 0.weight", "0.wieght", "9.bias", "2.bias (twice)",
                             "0.bias [6]", "2.weight [5] Long"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " not in: " << text;
    }
  }
  EXPECT_TRUE(at::equal(kept, to->parameters()[2]->value));
}

}  // namespace
}  // namespace bitstill
