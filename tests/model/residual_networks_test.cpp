// ResNets and wide residual networks: sizes and names, and a second computation by tensor names.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/model/dropout.hpp"
#include "bitstill/model/weights.hpp"
#include "network_fixture.hpp"

namespace bitstill {
namespace {

const std::vector<NetworkSpec> kSmall = {
    residual_spec("resnet18", {3, 41, 35}, 7, 0.25),
    small_stem(residual_spec("resnet34", {1, 9, 13}, 5, 0.3125)),
    residual_spec("resnet50", {3, 25, 29}, 6, 0.25),
    residual_spec("wrn", {3, 13, 10}, 9, 2, 10),
    residual_spec("wrn", {1, 8, 8}, 4, 1, 16),
};

std::string refusal(const NetworkSpec& spec) {
  try {
    make_skeleton(spec, kMostParameters);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "accepted";
}

TEST(ResidualNetworks, CountsArePublished) {
  const ImageShape large{3, 224, 224}, small{3, 32, 32};
  const std::vector<std::pair<NetworkSpec, int64_t>> table = {
      {residual_spec("resnet18", large, 1000), 11689512},
      {residual_spec("resnet34", large, 1000), 21797672},
      {residual_spec("resnet50", large, 1000), 25557032},
      {residual_spec("resnet101", large, 1000), 44549160},
      {residual_spec("resnet152", large, 1000), 60192808},
      {residual_spec("resnet18", large, 1000, 2), 45693032},
      {residual_spec("resnet34", large, 1000, 2), 86110824},
      {residual_spec("wrn", small, 100, 10, 28), 36546980},
      {residual_spec("wrn", small, 100, 8, 22), 17210564},
      {residual_spec("wrn", small, 10, 20, 28), 145835690},
      {residual_spec("wrn", small, 10, 22, 16), 82746890},
  };
  for (const auto& [spec, count] : table) {
    EXPECT_EQ(make_skeleton(spec, count)->parameter_count(), count) << spec.kind;
    EXPECT_THROW(make_skeleton(spec, count - 1), Error) << spec.kind;
  }
}

TEST(ResidualNetworks, NamesAreTorchvisions) {
  const auto names_of = [](const NetworkSpec& spec) {
    std::string names;
    const auto network = make_skeleton(spec, kMostParameters);
    for (const Parameter* parameter : network->parameters()) names += parameter->name + " ";
    return names;
  };
  const std::string resnet18 = names_of(residual_spec("resnet18", {3, 32, 32}, 10));
  EXPECT_TRUE(resnet18.starts_with(
      "conv1.weight bn1.weight bn1.bias layer1.0.conv1.weight layer1.0.bn1.weight "
      "layer1.0.bn1.bias layer1.0.conv2.weight layer1.0.bn2.weight layer1.0.bn2.bias "
      "layer1.1.conv1.weight "))
      << resnet18;
  EXPECT_NE(resnet18.find("layer2.0.bn2.bias layer2.0.downsample.0.weight "
                          "layer2.0.downsample.1.weight layer2.0.downsample.1.bias layer2.1."),
            std::string::npos);
  EXPECT_TRUE(resnet18.ends_with("layer4.1.bn2.bias fc.weight fc.bias "));
  const std::string resnet50 = names_of(residual_spec("resnet50", {3, 32, 32}, 10));
  EXPECT_NE(resnet50.find("layer1.0.bn3.bias layer1.0.downsample.0.weight"), std::string::npos);
  const auto network = make_skeleton(residual_spec("wrn", {3, 32, 32}, 10, 1, 10), kMostParameters);
  EXPECT_TRUE(network->parameters().front()->first_layer);
  EXPECT_EQ(network->parameters().front()->name, "conv1.weight");
  EXPECT_TRUE(network->parameters().back()->last_layer);
  EXPECT_EQ(network->parameters().back()->name, "linear.bias");
  EXPECT_NE(names_of(network->spec())
                .find("layer2.0.conv2.bias layer2.0.shortcut.0.weight "
                      "layer2.0.shortcut.0.bias layer3.0.bn1.weight"),
            std::string::npos);
}

TEST(ResidualNetworks, RefuseWhatDoesNotFit) {
  const auto expect = [](const NetworkSpec& spec, const char* part) {
    EXPECT_NE(refusal(spec).find(part), std::string::npos) << refusal(spec);
  };
  const ImageShape input{3, 32, 32};
  expect(residual_spec("wrn", input, 10, 1, 27), "model wrn: depth is 27; give model.depth = 6n");
  expect(residual_spec("wrn", input, 10, 1, 4), "depth is 4");
  expect(residual_spec("wrn", input, 10), "depth is 0");
  expect(residual_spec("wrn", input, 10, 1.5, 10), "width_factor is 1.5; give a whole number");
  expect(residual_spec("wrn", input, 10, 33, 10), "model.width_factor = 33 is not in 0..32");
  expect(small_stem(residual_spec("wrn", input, 10, 1, 10)), "no other stem");
  expect(residual_spec("resnet18", input, 10, 0.3), "makes 19.2 of 64 channels, no whole number");
  expect(residual_spec("resnet18", input, 10, 0.2), "width_factor is 0.2; give 0.25 to 2");
  expect(residual_spec("resnet18", input, 10, 4), "width_factor is 4; give 0.25 to 2");
  expect(residual_spec("resnet18", input, 10, NAN), "width_factor");
  expect(residual_spec("resnet18", input, 10, 1, 34), "depth is 34; this kind has 18 layers");
  expect(residual_spec("resnet19", input, 10), "did you mean resnet1");
  NetworkSpec spec = residual_spec("resnet18", input, 10);
  spec.dropout = {0.5};
  expect(spec, "has no dropout");
  spec.dropout = {0};  // as distilled students have it
  EXPECT_EQ(refusal(spec), "accepted");
  spec = residual_spec("wrn", input, 10, 1, 10);
  spec.dropout = {0.1, 0.2};
  expect(spec, "one dropout rate");
}

TEST(ResidualNetworks, SpecsSurviveJson) {
  for (NetworkSpec spec : kSmall) {
    spec.zero_norm = spec.kind != "wrn";
    const NetworkSpec whole = completed(spec);
    const Json json = to_json(whole);
    EXPECT_FALSE(json.contains("widths"));
    const NetworkSpec back = network_spec_from_json(json, "file", ExitCode::model);
    EXPECT_EQ(to_json(back), json);
    EXPECT_EQ(back.depth, whole.depth);
    EXPECT_EQ(back.stem, spec.stem);
    EXPECT_EQ(back.zero_norm, spec.zero_norm);
  }
  const std::vector<std::pair<std::string, Json>> edits = {
      {"depth", -1},         {"depth", 1001},       {"depth", 1.5},    {"width_factor", 33},
      {"width_factor", "1"}, {"width_factor", -1},  {"stem", "large"}, {"stem", 3},
      {"zero_norm", 1},      {"kind", "unheard of"}};
  for (const auto& [name, value] : edits) {
    Json bad = to_json(completed(kSmall[0]));
    bad[name] = value;
    try {
      network_spec_from_json(bad, "file", ExitCode::model);
      ADD_FAILURE() << name << " = " << value << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      EXPECT_TRUE(std::string(error.what()).starts_with("file." + name)) << error.what();
    }
  }
}

/// The definition, operation by operation, from the tensors' names alone.
class Reference {
 public:
  Reference(const Network& network, bool training) : spec_(network.spec()), training_(training) {
    for (const Parameter* parameter : network.parameters()) {
      tensors_[parameter->name] = parameter->value;
    }
    for (const Buffer* buffer : network.buffers()) tensors_[buffer->name] = buffer->value;
  }

  at::Tensor logits(const at::Tensor& x) const { return spec_.kind == "wrn" ? wrn(x) : resnet(x); }

 private:
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  at::Tensor get(const std::string& name) const {
    return has(name) ? tensors_.at(name) : at::Tensor();
  }
  at::Tensor convolve(const at::Tensor& x, const std::string& name, int64_t stride = 1) const {
    const at::Tensor weight = tensors_.at(name + ".weight");
    return at::conv2d(x, weight, get(name + ".bias"), stride, weight.size(2) / 2);
  }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    const at::Tensor mean = training_ ? at::Tensor() : get(name + ".running_mean");
    const at::Tensor variance = training_ ? at::Tensor() : get(name + ".running_var");
    return at::batch_norm(x, get(name + ".weight"), get(name + ".bias"), mean, variance, training_,
                          0.1, 1e-5, false);
  }
  at::Tensor normed(const at::Tensor& x, const std::string& convolution, const std::string& name,
                    int64_t stride = 1) const {
    return norm(convolve(x, convolution, stride), name);
  }
  at::Tensor classify(const at::Tensor& x, const std::string& name) const {
    return at::linear(x.mean(at::IntArrayRef{2, 3}), get(name + ".weight"), get(name + ".bias"));
  }

  at::Tensor resnet(at::Tensor x) const {
    const bool small = spec_.stem == Stem::small;
    x = at::relu(normed(x, "conv1", "bn1", small ? 1 : 2));
    if (!small) x = at::max_pool2d(x, 3, 2, 1);
    for (int stage = 1; stage <= 4; ++stage) {
      for (int i = 0;; ++i) {
        const std::string name = concat("layer", stage, ".", i);
        if (!has(name + ".conv1.weight")) break;
        const int64_t stride = stage > 1 && i == 0 ? 2 : 1;
        const bool bottleneck = has(name + ".conv3.weight");
        at::Tensor y = normed(x, name + ".conv1", name + ".bn1", bottleneck ? 1 : stride);
        y = normed(at::relu(y), name + ".conv2", name + ".bn2", bottleneck ? stride : 1);
        if (bottleneck) y = normed(at::relu(y), name + ".conv3", name + ".bn3");
        const std::string shortcut = name + ".downsample.";
        if (has(shortcut + "0.weight")) x = normed(x, shortcut + "0", shortcut + "1", stride);
        x = at::relu(y + x);
      }
    }
    return classify(x, "fc");
  }

  at::Tensor wrn(at::Tensor x) const {
    x = convolve(x, "conv1");
    for (int stage = 1; stage <= 3; ++stage) {
      for (int i = 0; i < (spec_.depth - 4) / 6; ++i) {
        const std::string name = concat("layer", stage, ".", i);
        const int64_t stride = stage > 1 && i == 0 ? 2 : 1;
        at::Tensor y = convolve(at::relu(norm(x, name + ".bn1")), name + ".conv1");
        y = convolve(at::relu(norm(y, name + ".bn2")), name + ".conv2", stride);
        const std::string shortcut = name + ".shortcut.0";
        x = y + (has(shortcut + ".weight") ? convolve(x, shortcut, stride) : x);
      }
    }
    return classify(at::relu(norm(x, "bn1")), "linear");
  }

  NetworkSpec spec_;
  bool training_;
  std::map<std::string, at::Tensor> tensors_;
};

at::Tensor images_for(const NetworkSpec& spec, int64_t count) {
  return at::randn({count, spec.input.channels, spec.input.height, spec.input.width});
}

/// The gradients of sum(logits * given) by every parameter.
std::vector<at::Tensor> gradients(const Network& network, const at::Tensor& logits,
                                  const at::Tensor& given) {
  (logits * given).sum().backward();
  std::vector<at::Tensor> all;
  for (Parameter* parameter : network.parameters()) {
    all.push_back(parameter->value.grad());
    parameter->value.mutable_grad() = at::Tensor();
  }
  return all;
}

TEST(ResidualNetworks, LogitsAndGradientsAreTheDefinitions) {
  at::manual_seed(5);
  for (const NetworkSpec& spec : kSmall) {
    const auto network = random_network(spec);
    network->set_trainable(true);
    const at::Tensor x = images_for(spec, 6), given = at::randn({6, spec.classes});
    for (const bool training : {false, true}) {
      const Reference reference(*network, training);
      ForwardMode mode;
      mode.training = training;
      const at::Tensor truth = reference.logits(x), found = network->forward(x, mode);
      EXPECT_LT(relative_error(found, truth), 1e-5) << spec.kind << training;
      const auto expected = gradients(*network, truth, given);
      const auto computed = gradients(*network, found, given);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double size = expected[i].norm().item<double>();
        const double most = 1e-3 * size + 1e-3 * given.norm().item<double>() * 1e-3;
        EXPECT_LT((computed[i] - expected[i]).norm().item<double>(), most)
            << spec.kind << " " << network->parameters()[i]->name << ", training " << training;
      }
    }
    const at::NoGradGuard no_grad;  // the other kernels of evaluation, and channels-last
    const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
    EXPECT_LT(relative_error(network->forward(last, {}), Reference(*network, false).logits(x)),
              1e-5);
  }
}

TEST(ResidualNetworks, StartAsTheirFamilySays) {
  const auto weight = [](const Network& network, const std::string& name) {
    for (const Parameter* parameter : network.parameters()) {
      if (parameter->name == name) return parameter->value;
    }
    throw std::out_of_range(name);
  };
  NetworkSpec spec = residual_spec("resnet50", {3, 32, 32}, 200, 0.25);
  auto network = make_network(spec);
  initialize(*network, 3);
  const at::Tensor he = weight(*network, "layer2.1.conv2.weight");  // [32, 32, 3, 3]
  EXPECT_NEAR(he.std().item<double>(), std::sqrt(2.0 / (32 * 9)), 0.03 * std::sqrt(2.0 / (32 * 9)));
  EXPECT_NEAR(he.mean().item<double>(), 0, 3 * std::sqrt(2.0 / (32 * 9)) / 96);
  const double far =
      (he.abs() > 2 * std::sqrt(2.0 / (32 * 9))).to(at::kFloat).mean().item<double>();
  EXPECT_NEAR(far, 0.0455, 0.008);                      // of a normal distribution
  const at::Tensor fc = weight(*network, "fc.weight");  // [200, 512]
  EXPECT_LE(fc.abs().max().item<double>(), 1 / std::sqrt(512.0));
  EXPECT_GT(fc.abs().max().item<double>(), 0.99 / std::sqrt(512.0));
  EXPECT_EQ(weight(*network, "layer2.1.bn3.weight").min().item<float>(), 1);
  spec.zero_norm = true;
  network = make_network(spec);
  initialize(*network, 3);
  EXPECT_EQ(weight(*network, "layer2.1.bn3.weight").abs().max().item<float>(), 0);
  EXPECT_EQ(weight(*network, "layer2.1.bn2.weight").min().item<float>(), 1);
  EXPECT_EQ(weight(*network, "layer2.0.downsample.1.weight").min().item<float>(), 1);

  network = make_network(residual_spec("wrn", {3, 32, 32}, 10, 4, 10));
  initialize(*network, 3);
  const at::Tensor xavier = weight(*network, "layer1.0.conv2.weight");  // [64, 64, 3, 3]
  const double bound = std::sqrt(2.0) * std::sqrt(6.0 / (128 * 9));
  EXPECT_LE(xavier.abs().max().item<double>(), bound * 1.0001);
  EXPECT_GT(xavier.abs().max().item<double>(), 0.99 * bound);
  EXPECT_EQ(weight(*network, "layer1.0.conv2.bias").abs().max().item<float>(), 0);
}

TEST(ResidualNetworks, EmptyBatchesRunForwardAndBackward) {
  for (const NetworkSpec& spec : kSmall) {
    const auto network = random_network(spec);
    network->set_trainable(true);
    for (const bool synchronized : {false, true}) {
      ForwardMode mode;
      mode.training = true;
      if (synchronized) mode.sum_over_ranks = [](at::Tensor&) {};
      const at::Tensor y = network->forward(images_for(spec, 0), mode);
      EXPECT_EQ(y.sizes(), (at::IntArrayRef{0, spec.classes}));
      for (const at::Tensor& gradient : gradients(*network, y, y.detach())) {
        ASSERT_TRUE(gradient.defined());
        EXPECT_EQ(gradient.abs().sum().item<float>(), 0);
      }
    }
  }
}

TEST(ResidualNetworks, ElementDropoutDependsOnSeedAndUnitAlone) {
  const at::Tensor x = at::ones({20, 30, 5, 7});
  ForwardMode mode;
  mode.training = true;
  mode.dropout_seed = 9;
  const at::Tensor y = element_dropout(x, 0.3, 2, mode);
  EXPECT_TRUE(y.equal(element_dropout(x.contiguous(at::MemoryFormat::ChannelsLast), 0.3, 2, mode)));
  EXPECT_FALSE(y.equal(element_dropout(x, 0.3, 3, mode)));
  EXPECT_NEAR((y == 0).to(at::kFloat).mean().item<double>(), 0.3, 0.02);
  EXPECT_NEAR(y.mean().item<double>(), 1, 0.03);
  EXPECT_FALSE(y.select(2, 0).equal(y.select(2, 1)));  // elements, not channels
  EXPECT_TRUE(element_dropout(x, 0.3, 2, {}).equal(x));

  NetworkSpec spec = kSmall[3];  // a network asks for it, after each block's first convolution
  const auto without = random_network(spec);
  spec.dropout = {0.3};
  const auto with = make_network(spec);
  assign(*with, named_tensors(*without), "");
  const at::Tensor images = images_for(spec, 3);
  EXPECT_TRUE(with->forward(images, {}).equal(without->forward(images, {})));
  EXPECT_GT(relative_error(with->forward(images, mode), without->forward(images, mode)), 0.01);
  EXPECT_TRUE(with->forward(images, mode).equal(with->forward(images, mode)));
}

TEST(ResidualNetworks, TheLastNormOfAWideNetworkFollowsItsBatchFaster) {
  const auto network = make_skeleton(kSmall[3], kMostParameters);
  for (const Buffer* buffer : network->buffers()) {
    EXPECT_EQ(buffer->momentum, buffer->name.starts_with("bn1.") ? 0.9 : 0) << buffer->name;
  }
}

TEST(Weights, OfAnotherDepthWidthOrClassCountAreOneLine) {
  const auto network = make_network(residual_spec("resnet18", {3, 32, 32}, 10, 0.25));
  const auto refused = [&](const NetworkSpec& spec) {
    const auto other = make_network(spec);
    try {
      assign(*network, named_tensors(*other), "theirs");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      const std::string line = message_line(error.what());
      EXPECT_LE(line.size(), kMostLineCharacters + 8);
      return line;
    }
    return std::string("accepted");
  };
  const ImageShape input{3, 32, 32};
  EXPECT_TRUE(
      refused(residual_spec("resnet34", input, 10, 0.25))
          .starts_with("theirs: the tensors do not fit the resnet18 network: extra layer1.2"));
  EXPECT_NE(refused(residual_spec("resnet18", input, 10, 0.5))
                .find("misshaped conv1.weight [32, 3, 7, 7]"),
            std::string::npos);
  EXPECT_NE(refused(residual_spec("resnet18", input, 11, 0.25))
                .find("misshaped fc.weight [11, 128] Float instead of [10, 128]"),
            std::string::npos);
}

}  // namespace
}  // namespace bitstill
