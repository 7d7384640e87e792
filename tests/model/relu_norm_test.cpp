#include "bitstill/model/relu_norm.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "../base/every_target.hpp"
#include "bitstill/model/norm_kernel.hpp"

namespace bitstill {
namespace {

using Bits = std::vector<uint16_t>;
using Floats = std::vector<float>;

constexpr double kHalfUlp = 0x1p-8;  // of a bfloat16, relative

struct Random {
  explicit Random(uint32_t seed) : generator(seed) {}
  /// bfloat16, a few of them zero, equal to others, or huge.
  Bits bits(int64_t count) {
    Bits result(static_cast<std::size_t>(count));
    std::normal_distribution<float> normal;
    for (uint16_t& v : result) {
      const uint32_t kind = generator() % 16;
      const float x = kind == 0 ? 0.0f : kind == 1 ? 0.5f : normal(generator);
      v = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16);
    }
    return result;
  }
  Floats floats(int64_t count) {
    Floats result(static_cast<std::size_t>(count));
    std::normal_distribution<float> normal;
    for (float& v : result) v = normal(generator);
    return result;
  }
  std::mt19937 generator;
};

float widened(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Equal but where fp32 and double round to neighbours.
void expect_close(const Bits& a, const Bits& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float x = widened(a[i]), y = widened(b[i]);
    ASSERT_LE(std::fabs(x - y), 2 * kHalfUlp * std::fabs(y) + 1e-5) << "value " << i;
  }
}

void expect_close(const Floats& a, const Floats& b, double size) {
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6 * size) << i;
}

struct Shape {
  int64_t rows, channels;
};
const std::vector<Shape> kShapes = {{0, 3},   {1, 1},   {1, 5},   {7, 10},   {100, 25},
                                    {64, 16}, {33, 75}, {5, 149}, {3, 1200}, {999, 2}};

void check_rows() {
  Random random(1);
  for (const auto& [rows, channels] : kShapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << channels);
    const auto n = static_cast<std::size_t>(channels);
    const Bits x = random.bits(rows * channels), dy = random.bits(rows * channels);
    const Floats mean = random.floats(channels), scale = random.floats(channels);
    const Floats bias = random.floats(channels), by_x = random.floats(channels);
    const Bf16Rows all{x.data(), rows, channels};
    const auto size = static_cast<double>(rows) * 8 + 1;
    Floats a(n), b(n), c(n), d(n);
    relu_sums(all, mean.data(), a.data());
    relu_sums_reference(all, mean.data(), b.data());
    expect_close(a, b, size);
    relu_squares(all, mean.data(), a.data());
    relu_squares_reference(all, mean.data(), b.data());
    expect_close(a, b, size);
    gradient_sums(all, dy.data(), mean.data(), a.data(), c.data());
    gradient_sums_reference(all, dy.data(), mean.data(), b.data(), d.data());
    expect_close(a, b, size);
    expect_close(c, d, size);
    Bits y(x.size()), expected(x.size());
    relu_normalize(all, mean.data(), scale.data(), bias.data(), y.data());
    relu_normalize_reference(all, mean.data(), scale.data(), bias.data(), expected.data());
    expect_close(y, expected);
    const NormGradient rule{mean.data(), scale.data(), by_x.data(), bias.data()};
    relu_norm_gradient(all, dy.data(), rule, y.data());
    relu_norm_gradient_reference(all, dy.data(), rule, expected.data());
    expect_close(y, expected);
  }
}

void check_norm_relu_rows() {
  Random random(3);
  for (const auto& [rows, channels] : kShapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << channels);
    const auto n = static_cast<std::size_t>(channels);
    const Bits x = random.bits(rows * channels), dy = random.bits(rows * channels);
    const Bits added = random.bits(rows * channels);
    const Floats mean = random.floats(channels), scale = random.floats(channels);
    const Floats bias = random.floats(channels), by_x = random.floats(channels);
    const Bf16Rows all{x.data(), rows, channels};
    const auto size = static_cast<double>(rows) * 8 + 1;
    Floats a(n), b(n), c(n), d(n);
    plain_sums(all, mean.data(), a.data());
    plain_sums_reference(all, mean.data(), b.data());
    expect_close(a, b, size);
    plain_squares(all, mean.data(), a.data());
    plain_squares_reference(all, mean.data(), b.data());
    expect_close(a, b, size);
    const NormGradient rule{mean.data(), scale.data(), by_x.data(), bias.data()};
    for (const uint16_t* other : {static_cast<const uint16_t*>(nullptr), added.data()}) {
      Bits y(x.size()), truth(x.size()), dx(x.size()), dx_truth(x.size());
      Bits more(x.size()), more_truth(x.size());
      normalize_relu_reference(all, mean.data(), scale.data(), bias.data(), other, truth.data());
      normalize_relu(all, mean.data(), scale.data(), bias.data(), other, y.data());
      expect_close(y, truth);
      normalize_relu_sums(all, truth.data(), dy.data(), mean.data(), a.data(), c.data());
      normalize_relu_sums_reference(all, truth.data(), dy.data(), mean.data(), b.data(), d.data());
      expect_close(a, b, size);
      expect_close(c, d, size);
      uint16_t* const to = other == nullptr ? nullptr : more.data();
      uint16_t* const truth_to = other == nullptr ? nullptr : more_truth.data();
      normalize_relu_gradient(all, truth.data(), dy.data(), rule, dx.data(), to);
      normalize_relu_gradient_reference(all, truth.data(), dy.data(), rule, dx_truth.data(),
                                        truth_to);
      expect_close(dx, dx_truth);
      EXPECT_EQ(more, more_truth);
    }
  }
}

TEST(NormKernel, NormThenReluEqualsTheReference) {
  on_every_target(check_norm_relu_rows);
}

TEST(NormKernel, RowsEqualTheReference) {
  on_every_target(check_rows);
}

void check_pools() {
  Random random(2);
  const std::vector<PooledImages> cases = {{1, 2, 2, 1},  {2, 4, 6, 5},  {3, 5, 7, 10},
                                           {1, 3, 3, 25}, {2, 8, 2, 50}, {2, 2, 9, 33},
                                           {0, 4, 4, 3},  {1, 6, 4, 64}, {1, 2, 3, 149}};
  for (const PooledImages& images : cases) {
    SCOPED_TRACE(testing::Message()
                 << images.height << " x " << images.width << " x " << images.channels);
    const int64_t pixels = images.count * images.pixels(), pooled = images.count * images.pooled();
    const Bits x = random.bits(pixels), dy = random.bits(pooled);
    Bits flip(static_cast<std::size_t>(images.channels));
    for (uint16_t& f : flip) f = random.generator() % 2 == 0 ? 0 : 0x7FFF;
    Bits picked(dy.size()), where(dy.size()), expected(dy.size()), place(dy.size());
    relu_pool(x.data(), images, flip.data(), picked.data(), where.data());
    relu_pool_reference(x.data(), images, flip.data(), expected.data(), place.data());
    EXPECT_EQ(picked, expected);
    EXPECT_EQ(where, place);
    const Floats mean = random.floats(images.channels), by_dy = random.floats(images.channels);
    const Floats by_x = random.floats(images.channels), rest = random.floats(images.channels);
    const NormGradient rule{mean.data(), by_dy.data(), by_x.data(), rest.data()};
    Bits dx(x.size()), dx_expected(x.size());
    relu_norm_pool_gradient(x.data(), images, dy.data(), where.data(), rule, dx.data());
    relu_norm_pool_gradient_reference(x.data(), images, dy.data(), where.data(), rule,
                                      dx_expected.data());
    expect_close(dx, dx_expected);
  }
}

TEST(NormKernel, PoolsEqualTheReference) {
  on_every_target(check_pools);
}

struct Result {
  at::Tensor y, dx, dweight, dbias;
};

/// Plain LibTorch operations in double.
Result plain(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& g, bool pool) {
  const auto leaf = [](const at::Tensor& t) {
    return t.detach().to(at::kDouble).set_requires_grad(true);
  };
  const at::Tensor input = leaf(x), weight = leaf(norm.weight.value), bias = leaf(norm.bias.value);
  at::Tensor y =
      at::batch_norm(input.relu(), weight, bias, {}, {}, true, 1, BatchNorm::kEpsilon, false);
  if (pool) y = at::max_pool2d(y, 2);
  (y * g.to(at::kDouble)).sum().backward();
  return {y.detach(), input.grad(), weight.grad(), bias.grad()};
}

/// Within `bound` of the largest value: errors of sums do not shrink with a single result.
void expect_within(const at::Tensor& a, const at::Tensor& b, double bound, const char* what) {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  if (a.numel() == 0) return;
  const double error = (a.to(at::kDouble) - b).abs().max().item<double>();
  EXPECT_LE(error, bound * (b.abs().max().item<double>() + 1e-6)) << what;
}

void compare(at::IntArrayRef shape, bool pool, double shift) {
  SCOPED_TRACE(testing::Message() << shape << " pool " << pool << " shift " << shift);
  BatchNorm norm("2", shape[1]);
  norm.weight.value.copy_(at::randn_like(norm.weight.value)).set_requires_grad(true);
  norm.bias.value.copy_(at::randn_like(norm.bias.value)).set_requires_grad(true);
  norm.mean.statistics.fill_(NAN);
  norm.variance.statistics.fill_(NAN);
  at::Tensor x = (at::randn(shape) * 2 + shift).to(at::kBFloat16);
  if (x.dim() == 4) x = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor input = x.clone().set_requires_grad(true);
  ForwardMode mode;
  mode.training = true;
  at::Tensor given = input * 1;  // not a leaf, as a convolution's answer
  const at::Tensor y = norm.forward_relu(given, mode, pool);
  const at::Tensor g = at::randn(y.sizes()).to(at::kBFloat16);  // not channels-last
  (y * g).sum().backward();
  const Result expected = plain(x, norm, g, pool);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(norm.weight.value.grad().scalar_type(), at::kFloat);
  expect_within(y, expected.y, kHalfUlp + 1e-5, "y");
  expect_within(input.grad(), expected.dx, kHalfUlp + 1e-5, "dx");
  expect_within(norm.weight.value.grad(), expected.dweight, 2e-5, "dweight");
  expect_within(norm.bias.value.grad(), expected.dbias, 2e-5, "dbias");
  const at::Tensor r = x.to(at::kDouble).relu().transpose(0, 1).flatten(1);
  expect_within(norm.mean.statistics, r.mean(1), 1e-6, "mean");
  expect_within(norm.variance.statistics, r.var(1), 1e-5, "variance");
}

TEST(ReluNorm, EqualsPlainOperationsInDouble) {
  compare({5, 3, 4, 7}, false, 0.5);
  compare({4, 10, 32, 32}, false, 0);
  compare({2, 75, 9, 8}, false, 1);
  compare({7, 11}, false, 0);
  compare({4, 500}, false, 0.3);
  compare({3, 10, 8, 8}, true, 0);
  compare({3, 5, 7, 9}, true, 0.5);
  compare({4, 50, 16, 16}, true, 0);
}

TEST(ReluNorm, ALargeMeanDoesNotCancel) {
  compare({16, 3, 8, 8}, false, 100);
  compare({16, 3, 8, 8}, true, 100);
}

TEST(ReluNorm, ANaNMakesItsChannelNaN) {
  BatchNorm norm("2", 3);
  at::Tensor x =
      at::randn({4, 3, 4, 4}).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
  x[1][2][3][1] = NAN;
  for (const bool pool : {false, true}) {
    const at::Tensor y = relu_norm(x, norm, pool);
    EXPECT_TRUE(y.select(1, 2).isnan().all().item<bool>());
    EXPECT_FALSE(y.select(1, 0).isnan().any().item<bool>());
    EXPECT_TRUE(std::isnan(norm.variance.statistics[2].item<float>()));
  }
}

TEST(ReluNorm, AnEmptyBatchLeavesZeros) {
  BatchNorm norm("2", 3);
  norm.mean.statistics.fill_(NAN);
  norm.variance.statistics.fill_(NAN);
  norm.weight.value.set_requires_grad(true);
  const at::Tensor x =
      at::zeros({0, 3, 4, 4}, at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor y = relu_norm(x, norm, true);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 3, 2, 2}));
  y.sum().backward();
  EXPECT_TRUE(at::equal(norm.weight.value.grad(), at::zeros({3})));
  EXPECT_TRUE(at::equal(norm.mean.statistics, at::zeros({3})));
  EXPECT_TRUE(at::equal(norm.variance.statistics, at::zeros({3})));
}

/// forward_add_relu() against plain LibTorch operations in double.
void compare_norm_relu(at::IntArrayRef shape, bool adds, double shift) {
  SCOPED_TRACE(testing::Message() << shape << " adds " << adds << " shift " << shift);
  BatchNorm norm("2", shape[1]);
  norm.weight.value.copy_(at::randn_like(norm.weight.value)).set_requires_grad(true);
  norm.bias.value.copy_(at::randn_like(norm.bias.value)).set_requires_grad(true);
  norm.mean.statistics.fill_(NAN);
  norm.variance.statistics.fill_(NAN);
  const auto values = [&](double by) {
    const at::Tensor x = (at::randn(shape) * 2 + by).to(at::kBFloat16);
    return x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
  };
  const at::Tensor x = values(shift).set_requires_grad(true);
  const at::Tensor added = values(0).set_requires_grad(true);
  ForwardMode mode;
  mode.training = true;
  const at::Tensor y = norm.forward_add_relu(x, adds ? added : at::Tensor(), mode);
  const at::Tensor g = at::randn(y.sizes()).to(at::kBFloat16);  // not channels-last
  (y * g).sum().backward();

  const auto leaf = [](const at::Tensor& t) {
    return t.detach().to(at::kDouble).set_requires_grad(true);
  };
  const at::Tensor input = leaf(x), other = leaf(added), weight = leaf(norm.weight.value);
  const at::Tensor bias = leaf(norm.bias.value);
  at::Tensor sum = at::batch_norm(input, weight, bias, {}, {}, true, 1, BatchNorm::kEpsilon, false);
  if (adds) sum = sum + other;
  // Where a sum rounds to another side of zero than in double, all that follows differs: y's sign
  // decides.
  const at::Tensor truth = sum * y.detach().gt(0).to(at::kDouble);
  (truth * g.to(at::kDouble)).sum().backward();
  expect_within(y, sum.detach().relu(), kHalfUlp + 1e-5, "y");
  expect_within(x.grad(), input.grad(), kHalfUlp + 1e-5, "dx");
  if (adds) expect_within(added.grad(), other.grad(), 1e-9, "dadded");
  expect_within(norm.weight.value.grad(), weight.grad(), 2e-5, "dweight");
  expect_within(norm.bias.value.grad(), bias.grad(), 2e-5, "dbias");
  const at::Tensor rows = x.detach().to(at::kDouble).transpose(0, 1).flatten(1);
  expect_within(norm.mean.statistics, rows.mean(1), 1e-5, "mean");
  expect_within(norm.variance.statistics, rows.var(1), 1e-5, "variance");
}

TEST(NormRelu, EqualsPlainOperationsInDouble) {
  for (const bool adds : {false, true}) {
    compare_norm_relu({5, 3, 4, 7}, adds, 0.5);
    compare_norm_relu({4, 10, 32, 32}, adds, 0);
    compare_norm_relu({2, 75, 9, 8}, adds, 1);
    compare_norm_relu({7, 11}, adds, 0);
    compare_norm_relu({16, 3, 8, 8}, adds, 100);
  }
}

}  // namespace
}  // namespace bitstill
