#include "../../src/model/winograd.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>
#include <sstream>

#include "../../src/model/winograd_kernel.hpp"

namespace bitstill {
namespace {

/// Of the largest output. For random values a rounding (u = 6e-8) of one of the 36 transformed
/// products counts up to 9 times as much, in the mean square, as one of the output itself: the
/// largest over the outputs (i, i) of sum over p of (A_pi |row p of B^T| |row p of G|)^2 / k. With
/// three to four such roundings, more for many inputs, that is 1e-6, and some times that at the
/// tail of many outputs. Measured: 3.2e-6; the customary points 1 and 2 come to 1.2e-5.
constexpr double kBound = 5e-6;

struct TestLayer {
  at::Tensor weight, bias;
  bool relu = false, pool = false;
};

TestLayer random_layer(int64_t outputs, int64_t inputs, int64_t kernel, bool relu, bool pool) {
  return {at::randn({outputs, inputs, kernel, kernel}), at::randn({outputs}), relu, pool};
}

class LayerSource : public TensorSource {
 public:
  explicit LayerSource(const TestLayer& layer) : layer_(layer) {}
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) override {
    return whole(name).narrow(0, first, count).contiguous();
  }
  at::Tensor whole(const std::string& name) override {
    return name == "weight" ? layer_.weight : layer_.bias;
  }

 private:
  TestLayer layer_;
};

/// The layer, compiled, in blocks of at most so many rows.
class Winograd {
 public:
  explicit Winograd(const TestLayer& given, int64_t block = 1 << 20) : folded_({}) {
    const int64_t kernel = given.weight.size(2);
    Program program({given.weight.size(1), 16, 16});
    program.convolution(0, given.weight.size(0), {kernel, 1, kernel / 2}, "weight", "bias");
    if (given.relu) program.relu(program.result());
    if (given.pool) program.max_pool(program.result(), {2, 2, 0});
    folded_ = fold(program).program;
    layer_ =
        FrozenLayer::make(folded_, folded_.operations().at(0), at::kFloat, nullptr, RowRuns::whole);
    LayerSource source(given);
    for (int64_t first = 0; first < layer_->rows(); first += block) {
      const RowRange rows = {first, std::min(block, layer_->rows() - first)};
      at::Tensor plain = at::empty({layer_->plain_bytes(rows.count)}, at::kByte);
      layer_->read(rows, source, plain.mutable_data_ptr());
      blocks_.emplace_back(rows, layer_->make_ready(plain.const_data_ptr(), rows.count));
    }
  }
  at::Tensor forward(const at::Tensor& given) const {
    const at::Tensor x = layer_->input(given);
    at::Tensor y;
    for (const auto& [rows, ready] : blocks_) layer_->run(ready, rows, x, &y);
    return y;
  }
  const at::Tensor& weight() const { return blocks_.at(0).second.at(0).weight; }

 private:
  Program folded_;
  std::unique_ptr<FrozenLayer> layer_;
  std::vector<std::pair<RowRange, std::vector<ReadyRows>>> blocks_;
};

struct Truth {
  at::Tensor values;
  double largest;  // before ReLU
};

/// The slow reference: a direct convolution in double.
Truth direct(const TestLayer& layer, const at::Tensor& x) {
  at::Tensor y = at::conv2d(x.to(at::kDouble), layer.weight.to(at::kDouble),
                            layer.bias.to(at::kDouble), 1, layer.weight.size(2) / 2);
  const double largest = y.abs().max().item<double>();
  if (layer.relu) y = y.relu();
  if (layer.pool) y = at::max_pool2d(y, 2);
  return {y, largest};
}

void expect_near(const TestLayer& layer, const at::Tensor& x, const std::string& what) {
  const at::Tensor found = Winograd(layer).forward(x);
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

/// G [6, k] in double: row p is [1, p, p^2, ...] / prod of (p - q) over the other points q.
at::Tensor kernel_transform(int64_t k) {
  const double a = kWinogradPoints[0], b = kWinogradPoints[1];
  const double points[] = {0, a, -a, b, -b};
  at::Tensor transform = at::zeros({kWinogradSide, k}, at::kDouble);
  auto g = transform.accessor<double, 2>();
  for (int64_t row = 0; row < 5; ++row) {
    double value = 1;
    for (int64_t other = 0; other < 5; ++other) {
      if (other != row) value /= points[row] - points[other];
    }
    for (int64_t column = 0; column < k; ++column, value *= points[row]) g[row][column] = value;
  }
  g[5][k - 1] = 1;
  return transform;
}

TEST_F(WinogradTest, EveryInstructionSetTransformsWeightsAsInDouble) {
  constexpr int64_t kOutputs = 48;  // one block
  const int64_t targets = hwy::SupportedTargets();
  for (int64_t rest = targets; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    for (const int64_t kernel : {3, 5}) {
      const TestLayer layer = random_layer(kOutputs, 7, kernel, false, false);
      const at::Tensor g = kernel_transform(kernel);
      const at::Tensor exact =
          at::einsum("ai,ocij,bj->abco", {g, layer.weight.to(at::kDouble), g}).flatten();
      const at::Tensor best = (exact.to(at::kFloat) - exact).abs();
      const at::Tensor error = (Winograd(layer).weight() - exact).abs();
      EXPECT_TRUE(error.le(best + 1e-14).all().item<bool>())
          << hwy::TargetName(rest & -rest) << ", kernel " << kernel;
    }
  }
}

TEST_F(WinogradTest, BlocksOfRowsAreThoseOfTheWhole) {
  for (const int64_t outputs : {49, 64, 96, 149, 200}) {
    for (const bool pool : {false, true}) {
      const TestLayer layer = random_layer(outputs, 33, 3, true, pool);
      const at::Tensor x = at::randn({3, 33, 11, 9});
      const at::Tensor whole = Winograd(layer).forward(x);
      for (const int64_t block : {48, 96, 144}) {
        const at::Tensor y = Winograd(layer, block).forward(x);
        EXPECT_TRUE(y.equal(whole)) << outputs << " in blocks of " << block;
        EXPECT_EQ(y.strides(), whole.strides());
      }
    }
  }
}

TEST_F(WinogradTest, TakesItsOwnOutputsAndAnyLayout) {
  const Winograd first(random_layer(19, 3, 3, true, true));
  const TestLayer second = random_layer(7, 19, 5, false, false);
  const at::Tensor x = first.forward(at::randn({3, 3, 15, 22}));
  EXPECT_EQ(x.stride(3), 32);  // whole vectors: not copied
  const at::Tensor y = Winograd(second).forward(x);
  for (const auto& same : {x.contiguous(), x.contiguous(at::MemoryFormat::ChannelsLast)}) {
    EXPECT_TRUE(y.equal(Winograd(second).forward(same)));
  }
  // Sixteen channels look padded, but these do not begin where a vector may.
  const TestLayer third = random_layer(7, 16, 3, false, false);
  expect_near(third, at::randn({1, 5, 6, 17}).permute({0, 3, 1, 2}).narrow(1, 1, 16), "cut");
}

TEST_F(WinogradTest, ImagesAndThreadsDoNotMatterToEachOther) {
  const Winograd layer(random_layer(50, 20, 3, true, true));
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
  const Winograd layer(random_layer(5, 4, 3, true, false));
  at::Tensor x = at::randn({3, 4, 9, 6});
  const at::Tensor clean = layer.forward(x).clone();
  x[1][2][4][3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor y = layer.forward(x);
  EXPECT_TRUE(y[0].equal(clean[0]) && y[2].equal(clean[2]));
  EXPECT_TRUE(y[1].select(1, 4).select(1, 3).isnan().all().item<bool>());
}

TEST_F(WinogradTest, EmptyBatchesAndImagesThatPoolToNothing) {
  const Winograd layer(random_layer(5, 4, 3, true, true));
  EXPECT_EQ(layer.forward(at::randn({0, 4, 6, 8})).sizes(), (at::IntArrayRef{0, 5, 3, 4}));
  EXPECT_EQ(layer.forward(at::randn({2, 4, 1, 8})).sizes(), (at::IntArrayRef{2, 5, 0, 4}));
}

}  // namespace
}  // namespace bitstill
