#include "bitstill/model/frozen_network.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "bitstill/base/text.hpp"
#include "bitstill/model/autocast.hpp"
#include "network_fixture.hpp"

namespace bitstill {
namespace {

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
  std::string obstacle;
  EXPECT_FALSE(freeze(*network, InferencePrecision::fp32, at::randn({1, 3, 11, 9}), &obstacle));
  EXPECT_EQ(obstacle, "the norm before a pool, after convolution 2, has a scale below zero");
}

TEST_F(FrozenNetworkTest, AnErrorIsNoMissingPrecision) {
  const auto network = random_network(spec_of({5, 3}, {2}, {11}));
  std::string obstacle;
  const at::Tensor no_batch = at::randn({3, 11, 9});
  EXPECT_THROW(FrozenNetwork::make(*network, InferencePrecision::fp32, no_batch, &obstacle), Error);
}

TEST_F(FrozenNetworkTest, CodesNeedFiniteAnswers) {
  const auto network = random_network(spec_of({5, 3}, {2}, {11}));
  network->parameters()[0]->value.view({-1})[7] = std::numeric_limits<float>::quiet_NaN();
  std::string obstacle;
  try {
    FrozenNetwork::make(*network, InferencePrecision::int8, at::randn({4, 3, 11, 9}), &obstacle);
    if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
    FAIL() << obstacle;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::numbers);
    EXPECT_TRUE(std::string(error.what()).starts_with("0.weight answers with")) << error.what();
  }
}

std::vector<std::unique_ptr<Network>> residual_networks() {
  std::vector<std::unique_ptr<Network>> all;
  all.push_back(residual_network());
  all.push_back(random_network(residual_spec("resnet18", {3, 37, 30}, 7, 0.25)));
  all.push_back(random_network(small_stem(residual_spec("resnet50", {1, 9, 7}, 5, 0.3125))));
  all.push_back(random_network(residual_spec("wrn", {3, 10, 13}, 9, 2, 10)));
  all.push_back(random_network(residual_spec("resnet18", {3, 45, 2}, 4, 0.25)));  // one column
  return all;
}

at::Tensor images_for(const Network& network, int64_t count) {
  const ImageShape& shape = network.spec().input;
  return at::randn({count, shape.channels, shape.height, shape.width});
}

TEST_F(FrozenNetworkTest, AResidualNetworkIsThatOfItsUnits) {
  for (const auto& network : residual_networks()) {
    const at::Tensor x = images_for(*network, 40);
    const at::Tensor truth = network->forward(x, ForwardMode{});
    for (const auto& [precision, least, most] :
         {std::tuple(InferencePrecision::fp32, 0.0, 1e-5),
          std::tuple(InferencePrecision::bf16, 1e-4, 0.03),
          std::tuple(InferencePrecision::int8, 1e-4, 0.08)}) {
      std::string obstacle;
      const auto frozen = freeze(*network, precision, x, &obstacle);
      if (obstacle.starts_with("this processor")) continue;
      ASSERT_TRUE(frozen) << obstacle;
      const double error = relative_error(frozen->forward(x), truth);
      EXPECT_LT(error, most) << network->spec().kind << " " << precision_name(precision);
      EXPECT_GT(error, least) << network->spec().kind << " " << precision_name(precision);
    }
  }
}

/// Equal, but where AMX is there: oneDNN's convolutions in bf16 and int8 sum in another order for
/// other batches there, which the program finds out at its start (teacher/batch_check.hpp).
bool same_logits(const at::Tensor& one, const at::Tensor& other) {
  static const bool amx = at::cpu::init_amx();
  return one.equal(other) || (amx && relative_error(one, other) < 0.02);
}

/// Parts of forward(x), for all sizes of batches and both numbers of threads.
void expect_batches_do_not_matter(const std::function<at::Tensor(const at::Tensor&)>& forward,
                                  const at::Tensor& x, const std::string& what) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor truth = forward(x);
  for (const int used : {1, 2}) {
    at::set_num_threads(used);
    for (const int64_t batch : {1, 2, 3, 5, 13, 32}) {
      for (const int64_t first : {int64_t{0}, (x.size(0) - batch) / 3, x.size(0) - batch}) {
        const int64_t end = first + batch;
        EXPECT_TRUE(same_logits(forward(x.slice(0, first, end)), truth.slice(0, first, end)))
            << what << ", " << used << " threads, samples " << first << " to " << end;
      }
    }
  }
  at::set_num_threads(threads);
}

TEST_F(FrozenNetworkTest, ASamplesLogitsDependOnNoBatchAndNoThreads) {
  NetworkSpec student = spec_of({}, {}, {});
  student.kind = "student2";
  student.input = {3, 32, 32};
  student.kernels = {};
  std::vector<std::unique_ptr<Network>> networks;
  networks.push_back(random_network(student));
  networks.push_back(
      random_network(with_kernels(spec_of({77, 16, 9, 5}, {1, 3}, {17, 6}), {3, 1, 7, 5})));
  for (auto& network : residual_networks()) networks.push_back(std::move(network));
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const Network& network = *networks[i];
    const at::Tensor x = images_for(network, 32);
    for (const auto precision :
         {InferencePrecision::fp32, InferencePrecision::bf16, InferencePrecision::int8}) {
      std::string obstacle;
      const auto frozen = freeze(network, precision, x, &obstacle);
      if (!frozen) continue;  // the other tests say which
      expect_batches_do_not_matter([&](const at::Tensor& some) { return frozen->forward(some); }, x,
                                   concat("network ", i, " in ", precision_name(precision)));
    }
    const at::NoGradGuard no_grad;
    for (const bool bf16 : {false, true}) {
      const AutocastScope scope(bf16, at::kCPU);
      expect_batches_do_not_matter(
          [&](const at::Tensor& some) { return network.forward(some, ForwardMode{}); },
          x.contiguous(at::MemoryFormat::ChannelsLast),
          concat("the units of network ", i, bf16 ? " in bf16" : ""));
    }
  }
}

}  // namespace
}  // namespace bitstill
