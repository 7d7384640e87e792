#include "bitstill/model/frozen_network.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace bitstill {
namespace {

NetworkSpec spec_of(std::vector<int64_t> widths, std::vector<int64_t> pools,
                    std::vector<int64_t> hidden) {
  NetworkSpec spec;
  spec.kind = "convnet";
  spec.input = {3, 11, 9};
  spec.classes = 4;
  spec.widths = std::move(widths);
  spec.kernels = {3};
  spec.pools = std::move(pools);
  spec.hidden = std::move(hidden);
  if (spec.widths.empty()) spec.kernels = {};
  return spec;
}

/// Weights, biases and norms (statistics included) that are nothing special; scales above zero.
std::unique_ptr<Network> random_network(const NetworkSpec& spec) {
  auto network = make_network(spec);
  initialize(*network, 7);
  for (Parameter* parameter : network->parameters()) {
    if (parameter->role == ParameterRole::weight) continue;
    const at::Tensor noise = at::randn(parameter->value.sizes()) * 0.3;
    parameter->value.copy_(
        parameter->role == ParameterRole::norm && parameter->name.ends_with("weight") ? noise.exp()
                                                                                      : noise);
  }
  for (Buffer* buffer : network->buffers()) {
    const at::Tensor noise = at::randn(buffer->value.sizes()) * 0.3;
    buffer->value.copy_(buffer->name.ends_with("var") ? noise.exp() : noise);
  }
  return network;
}

double relative_error(const at::Tensor& found, const at::Tensor& truth) {
  return ((found - truth).norm() / truth.norm()).item<double>();
}

const std::vector<NetworkSpec> kSpecs = {
    spec_of({5, 3}, {2}, {11}),   spec_of({77, 16, 9, 5}, {1, 3}, {17, 6}),
    spec_of({4}, {}, {}),         spec_of({}, {}, {13, 7}),
    spec_of({8, 6, 4}, {}, {10}),
};

NetworkSpec with_kernels(NetworkSpec spec, std::vector<int64_t> kernels) {
  spec.kernels = std::move(kernels);
  return spec;
}

/// Null only with a reason.
std::unique_ptr<FrozenNetwork> freeze(const Network& network, InferencePrecision precision,
                                      const at::Tensor& sample, std::string* obstacle) {
  auto frozen = FrozenNetwork::make(network, precision, sample, obstacle);
  EXPECT_EQ(frozen == nullptr, !obstacle->empty()) << *obstacle;
  if (frozen) {
    EXPECT_EQ(frozen->precision(), precision);
  }
  return frozen;
}

std::unique_ptr<FrozenNetwork> freeze(const Network& network, const at::Tensor& sample) {
  std::string obstacle;
  return freeze(network, InferencePrecision::fp32, sample, &obstacle);
}

class FrozenNetworkTest : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(3); }
};

TEST_F(FrozenNetworkTest, FoldingKeepsTheFunctionAlsoAtTheBorders) {
  for (const NetworkSpec& spec : kSpecs) {
    const auto network = random_network(spec);
    const at::Tensor x = at::randn({5, 3, 11, 9});
    const auto frozen = freeze(*network, x);
    ASSERT_TRUE(frozen);
    const at::Tensor truth = network->forward(x, ForwardMode{});
    EXPECT_LT(relative_error(frozen->forward(x), truth), 1e-5);
    EXPECT_LT(relative_error(frozen->forward(x.slice(0, 2, 3)), truth.slice(0, 2, 3)), 1e-5);
    EXPECT_EQ(frozen->forward(x.slice(0, 0, 0)).sizes(), (at::IntArrayRef{0, 4}));
  }
}

TEST_F(FrozenNetworkTest, KernelsOfAllSizesFollowEachOther) {
  const NetworkSpec spec = with_kernels(spec_of({6, 17, 5, 20, 7}, {2}, {9}), {3, 7, 5, 1, 3});
  const auto network = random_network(spec);
  const at::Tensor x = at::randn({4, 3, 11, 9});
  const auto frozen = freeze(*network, x);
  ASSERT_TRUE(frozen);
  EXPECT_LT(relative_error(frozen->forward(x), network->forward(x, ForwardMode{})), 1e-5);
}

/// Eight convolutions, each near 5e-7 in the mean square (winograd_test.cpp), then two linear
/// layers.
TEST_F(FrozenNetworkTest, TheTeachersLogitsAreThoseOfTheNetwork) {
  NetworkSpec spec;
  spec.kind = "teacher";
  spec.input = {3, 32, 32};
  spec.classes = 10;
  const auto network = random_network(spec);
  const at::Tensor x = at::randn({5, 3, 32, 32});
  const auto frozen = freeze(*network, x);
  ASSERT_TRUE(frozen);
  EXPECT_LT(relative_error(frozen->forward(x), network->forward(x, ForwardMode{})), 5e-6);
}

TEST_F(FrozenNetworkTest, LowPrecisionsStayNear) {
  for (const NetworkSpec& spec : kSpecs) {
    const auto network = random_network(spec);
    const at::Tensor sample = at::randn({64, 3, 11, 9}), x = at::randn({9, 3, 11, 9});
    const at::Tensor truth = network->forward(x, ForwardMode{});
    for (const auto& [precision, most] :
         {std::pair(InferencePrecision::bf16, 0.02), std::pair(InferencePrecision::int8, 0.06)}) {
      std::string obstacle;
      const auto frozen = freeze(*network, precision, sample, &obstacle);
      if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
      if (precision == InferencePrecision::int8 && spec.widths.empty()) {
        EXPECT_NE(obstacle.find("no convolution"), std::string::npos) << obstacle;
        continue;
      }
      ASSERT_TRUE(frozen) << obstacle;
      const double error = relative_error(frozen->forward(x), truth);
      EXPECT_LT(error, most);
      EXPECT_GT(error, 1e-4);  // it is not fp32
    }
  }
}

TEST_F(FrozenNetworkTest, DeadAndTinyChannelsDoNotDrownTheOthers) {
  // A channel that never answers has a variance near zero, so its norm's scale is enormous.
  const auto network = random_network(spec_of({8, 6}, {}, {10}));
  for (Parameter* parameter : network->parameters()) {
    if (parameter->name == "0.bias") parameter->value.select(0, 3).fill_(-100);
    if (parameter->name == "0.weight") parameter->value.select(0, 5).mul_(1e-3);
    if (parameter->name == "0.bias") parameter->value.select(0, 5).mul_(1e-3);
  }
  for (Buffer* buffer : network->buffers()) {
    if (buffer->name == "2.running_var") buffer->value.select(0, 3).fill_(0);
    if (buffer->name == "2.running_var") buffer->value.select(0, 5).fill_(1e-6);
    if (buffer->name == "2.running_mean") buffer->value.slice(0, 3, 6).fill_(0);
  }
  const at::Tensor sample = at::randn({64, 3, 11, 9});
  std::string obstacle;
  const auto frozen = freeze(*network, InferencePrecision::int8, sample, &obstacle);
  if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
  ASSERT_TRUE(frozen) << obstacle;
  EXPECT_LT(relative_error(frozen->forward(sample), network->forward(sample, ForwardMode{})), 0.06);
}

TEST_F(FrozenNetworkTest, WhatCannotBeFoldedIsNot) {
  const auto network = random_network(spec_of({5, 3}, {2}, {11}));
  for (Parameter* parameter : network->parameters()) {
    if (parameter->name == "5.weight") parameter->value.select(0, 0).fill_(-1);  // before the pool
  }
  EXPECT_TRUE(fold_norms(*network).layers.empty());
  std::string obstacle;
  EXPECT_FALSE(freeze(*network, InferencePrecision::fp32, at::randn({1, 3, 11, 9}), &obstacle));
  EXPECT_EQ(obstacle, "the norm before a pool, after convolution 2, has a scale below zero");
}

TEST_F(FrozenNetworkTest, AnErrorIsNoMissingPrecision) {
  const auto network = random_network(spec_of({5, 3}, {2}, {11}));
  std::string obstacle;
  const at::Tensor no_batch = at::randn({3, 11, 9});
  EXPECT_THROW(FrozenNetwork::make(*network, InferencePrecision::fp32, no_batch, &obstacle),
               c10::Error);
}

}  // namespace
}  // namespace bitstill
