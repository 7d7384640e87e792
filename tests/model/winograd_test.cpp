#include "../../src/model/winograd.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>
#include <sstream>

namespace bitstill {
namespace {

/// Of the largest output. For random values a rounding (u = 6e-8) of one of the 36 transformed
/// products counts up to 9 times as much, in the mean square, as one of the output itself: the
/// largest over the outputs (i, i) of sum over p of (A_pi |row p of B^T| |row p of G|)^2 / k. With
/// three to four such roundings, more for many inputs, that is 1e-6, and some times that at the
/// tail of many outputs. Measured: 3.2e-6; the customary points 1 and 2 come to 1.2e-5.
constexpr double kBound = 5e-6;

AffineLayer random_layer(int64_t outputs, int64_t inputs, int64_t kernel, bool relu, bool pool) {
  AffineLayer layer;
  layer.weight = at::randn({outputs, inputs, kernel, kernel});
  layer.bias = at::randn({outputs});
  layer.relu = relu;
  layer.pool = pool;
  return layer;
}

struct Truth {
  at::Tensor values;
  double largest;  // before ReLU
};

/// The slow reference: a direct convolution in double.
Truth direct(const AffineLayer& layer, const at::Tensor& x) {
  at::Tensor y = at::conv2d(x.to(at::kDouble), layer.weight.to(at::kDouble),
                            layer.bias.to(at::kDouble), 1, layer.weight.size(2) / 2);
  const double largest = y.abs().max().item<double>();
  if (layer.relu) y = y.relu();
  if (layer.pool) y = at::max_pool2d(y, 2);
  return {y, largest};
}

void expect_near(const AffineLayer& layer, const at::Tensor& x, const std::string& what) {
  const at::Tensor found = WinogradConvolution(layer).forward(x);
  const Truth truth = direct(layer, x);
  ASSERT_EQ(found.sizes(), truth.values.sizes()) << what;
  EXPECT_LE((found - truth.values).abs().max().item<double>(), kBound * truth.largest) << what;
}

class WinogradTest : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(5); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

TEST_F(WinogradTest, EveryInstructionSetIsNearADirectConvolution) {
  const std::vector<std::vector<int64_t>> shapes = {
      // n, inputs, outputs, height, width
      {1, 1, 1, 2, 2},   {2, 3, 77, 11, 9},  {5, 16, 16, 4, 4}, {3, 33, 65, 6, 13},
      {4, 5, 100, 7, 3}, {1, 48, 31, 17, 5}, {2, 149, 8, 8, 8}, {1, 20, 144, 2, 23},
  };
  const int64_t targets = hwy::SupportedTargets();
  for (int64_t rest = targets; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    for (const auto& s : shapes) {
      const at::Tensor x = at::randn({s[0], s[1], s[3], s[4]});
      for (const int64_t kernel : {3, 5}) {
        for (const int way : {0, 1, 2, 3}) {
          const bool relu = way % 2 == 1, pool = way / 2 == 1;
          std::ostringstream what;
          what << hwy::TargetName(rest & -rest) << ", " << x.sizes() << " to " << s[2]
               << " channels, kernel " << kernel << (relu ? ", ReLU" : "")
               << (pool ? ", pool" : "");
          expect_near(random_layer(s[2], s[1], kernel, relu, pool), x, what.str());
        }
      }
    }
  }
}

TEST_F(WinogradTest, TakesItsOwnOutputsAndAnyLayout) {
  const WinogradConvolution first(random_layer(19, 3, 3, true, true));
  const AffineLayer second = random_layer(7, 19, 5, false, false);
  const at::Tensor x = first.forward(at::randn({3, 3, 15, 22}));
  EXPECT_EQ(x.stride(3), 32);  // whole vectors: not copied
  const at::Tensor y = WinogradConvolution(second).forward(x);
  for (const auto& same : {x.contiguous(), x.contiguous(at::MemoryFormat::ChannelsLast)}) {
    EXPECT_TRUE(y.equal(WinogradConvolution(second).forward(same)));
  }
  // Sixteen channels look padded, but these do not begin where a vector may.
  const AffineLayer third = random_layer(7, 16, 3, false, false);
  expect_near(third, at::randn({1, 5, 6, 17}).permute({0, 3, 1, 2}).narrow(1, 1, 16), "cut");
}

TEST_F(WinogradTest, ImagesAndThreadsDoNotMatterToEachOther) {
  const WinogradConvolution layer(random_layer(50, 20, 3, true, true));
  const at::Tensor x = at::randn({9, 20, 13, 10});
  const at::Tensor y = layer.forward(x);
  for (int64_t i = 0; i < x.size(0); ++i) {
    EXPECT_TRUE(y.slice(0, i, i + 1).equal(layer.forward(x.slice(0, i, i + 1)))) << i;
  }
  const int threads = at::get_num_threads();
  for (const int other : {1, 2, 3}) {
    at::set_num_threads(other);
    EXPECT_TRUE(y.equal(layer.forward(x))) << other;
  }
  at::set_num_threads(threads);
}

TEST_F(WinogradTest, NoNumbersAreSeenAndStayInTheirImage) {
  const WinogradConvolution layer(random_layer(5, 4, 3, true, false));
  at::Tensor x = at::randn({3, 4, 9, 6});
  const at::Tensor clean = layer.forward(x).clone();
  x[1][2][4][3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor y = layer.forward(x);
  EXPECT_TRUE(y[0].equal(clean[0]) && y[2].equal(clean[2]));
  EXPECT_TRUE(y[1].select(1, 4).select(1, 3).isnan().all().item<bool>());
}

TEST_F(WinogradTest, EmptyBatchesAndImagesThatPoolToNothing) {
  const WinogradConvolution layer(random_layer(5, 4, 3, true, true));
  EXPECT_EQ(layer.forward(at::randn({0, 4, 6, 8})).sizes(), (at::IntArrayRef{0, 5, 3, 4}));
  EXPECT_EQ(layer.forward(at::randn({2, 4, 1, 8})).sizes(), (at::IntArrayRef{2, 5, 0, 4}));
}

}  // namespace
}  // namespace bitstill
