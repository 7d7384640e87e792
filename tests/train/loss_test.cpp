#include "bitstill/train/loss.hpp"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "train_fixture.hpp"

namespace bitstill {
namespace {

using Row = std::vector<double>;

Row softmax(const Row& z, double temperature) {
  Row p;
  double sum = 0, largest = z[0];
  for (const double v : z) largest = std::max(largest, v);
  for (const double v : z) sum += std::exp((v - largest) / temperature);
  for (const double v : z) p.push_back(std::exp((v - largest) / temperature) / sum);
  return p;
}

/// One sample's losses by the plain formulas, in double.
double plain_soft(const Row& z, const Row& t, const DistillOptions& options) {
  const Row p = softmax(t, options.temperature), q = softmax(z, options.temperature);
  double kl = 0;
  for (std::size_t c = 0; c < z.size(); ++c) kl += p[c] * std::log(p[c] / q[c]);
  if (options.kl_reduction == KlReduction::classes) kl /= static_cast<double>(z.size());
  return options.temperature * options.temperature * kl;
}

double plain_hard(const Row& z, int64_t label) {
  return -std::log(softmax(z, 1)[static_cast<std::size_t>(label)]);
}

Row row_of(const at::Tensor& matrix, int64_t i) {
  Row row;
  for (int64_t c = 0; c < matrix.size(1); ++c) row.push_back(matrix[i][c].item<double>());
  return row;
}

void check_loss(int64_t n, int64_t classes, bool has_teacher, const DistillOptions& options) {
  SCOPED_TRACE(testing::Message() << n << "x" << classes << ", teacher " << has_teacher << ", T "
                                  << options.temperature << ", " << options.kl_reduction);
  const at::Tensor z = at::randn({n, classes}) * 3;
  const at::Tensor t = has_teacher ? at::randn({n, classes}) * 4 : at::Tensor();
  const at::Tensor labels = at::randint(classes, {n}, at::kLong);
  const int64_t global = 3 * n + 1;
  const Loss loss = distillation_loss(z, t, {labels}, options, global);

  double soft = 0, hard = 0, correct = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Row zi = row_of(z, i), ti = has_teacher ? row_of(t, i) : Row{};
    const int64_t label = labels[i].item<int64_t>();
    soft += has_teacher ? plain_soft(zi, ti, options) : 0;
    hard += plain_hard(zi, label);
    correct += std::max_element(zi.begin(), zi.end()) - zi.begin() == label ? 1 : 0;
    const auto total = [&](const Row& at) {
      return total_loss(has_teacher ? plain_soft(at, ti, options) : 0, plain_hard(at, label),
                        options, has_teacher) /
             static_cast<double>(global);
    };
    for (int64_t c = 0; c < classes; ++c) {  // central differences
      constexpr double kStep = 1e-4;
      Row above = zi, below = zi;
      above[static_cast<std::size_t>(c)] += kStep;
      below[static_cast<std::size_t>(c)] -= kStep;
      const double slope = (total(above) - total(below)) / (2 * kStep);
      ASSERT_NEAR(loss.gradient[i][c].item<double>(), slope, 2e-6 * options.temperature);
    }
  }
  ASSERT_EQ(loss.sums.numel(), 3);
  EXPECT_NEAR(loss.sums[0].item<double>(), soft, 1e-5 * (1 + soft));
  EXPECT_NEAR(loss.sums[1].item<double>(), hard, 1e-5 * (1 + hard));
  EXPECT_EQ(loss.sums[2].item<double>(), correct);
}

TEST(Loss, SumsAndGradientAreThePlainFormulas) {
  at::manual_seed(3);
  for (const double temperature : {1.0, 2.0, 5.0}) {
    for (const KlReduction reduction : {KlReduction::batch, KlReduction::classes}) {
      for (const double weight : {0.7, 0.0, 1.0}) {
        DistillOptions options{temperature, weight, reduction};
        check_loss(5, 7, true, options);
        check_loss(1, 3, true, options);
        check_loss(3, 10, false, options);
      }
    }
  }
}

using Rows = std::vector<Row>;

Rows rows_of(const at::Tensor& matrix) {
  Rows rows;
  for (int64_t i = 0; i < matrix.size(0); ++i) rows.push_back(row_of(matrix, i));
  return rows;
}

double correlation_of(const Row& a, const Row& b) {
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) mean_a += a[i] / n, mean_b += b[i] / n;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return ab / std::sqrt(aa * bb);
}

/// n T^2 (mean over samples of 1 - r of their classes + mean over classes of 1 - r of their
/// samples), by the formulas of Huang et al. 2022.
double plain_dist(const Rows& z, const Rows& t, double temperature) {
  Rows q, p;
  for (const Row& row : z) q.push_back(softmax(row, temperature));
  for (const Row& row : t) p.push_back(softmax(row, temperature));
  const auto samples = static_cast<double>(z.size()), classes = static_cast<double>(z[0].size());
  double between = 0, within = 0;
  for (std::size_t i = 0; i < z.size(); ++i) between += 1 - correlation_of(q[i], p[i]);
  for (std::size_t c = 0; c < z[0].size(); ++c) {
    Row own, its;
    for (std::size_t i = 0; i < z.size(); ++i) own.push_back(q[i][c]), its.push_back(p[i][c]);
    within += 1 - correlation_of(own, its);
  }
  return temperature * temperature * (between + within * samples / classes);
}

/// Each number of `gradient` is the slope of `total` at `rows`, by central differences.
template <class Total>
void expect_slopes(const at::Tensor& gradient, const Rows& rows, const Total& total,
                   double tolerance) {
  constexpr double kStep = 1e-4;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t c = 0; c < rows[i].size(); ++c) {
      Rows above = rows, below = rows;
      above[i][c] += kStep;
      below[i][c] -= kStep;
      EXPECT_NEAR(gradient[static_cast<int64_t>(i)][static_cast<int64_t>(c)].item<double>(),
                  (total(above) - total(below)) / (2 * kStep), tolerance);
    }
  }
}

TEST(Loss, DistIsItsFormulaAndItsGradientTheSlope) {
  at::manual_seed(8);
  DistillOptions options;
  options.loss = SoftLoss::dist;
  options.soft_weight = 1;
  for (const double temperature : {1.0, 4.0}) {
    options.temperature = temperature;
    const at::Tensor z = at::randn({5, 7}) * 2, t = at::randn({5, 7}) * 3;
    const at::Tensor labels = at::randint(7, {5}, at::kLong);
    const Loss loss = distillation_loss(z, t, {labels}, options, 11);
    const Rows own = rows_of(z), its = rows_of(t);
    EXPECT_NEAR(loss.sums[0].item<double>(), plain_dist(own, its, temperature), 1e-4);
    expect_slopes(
        loss.gradient, own, [&](const Rows& at) { return plain_dist(at, its, temperature) / 11; },
        2e-6 * temperature);
  }
  const at::Tensor none = at::zeros({0, 7});
  const Loss empty = distillation_loss(none, none, {at::zeros({0}, at::kLong)}, options, 11);
  EXPECT_EQ(empty.sums.abs().sum().item<float>(), 0);
  // Nothing varies: no correlation, and no gradient that is no number.
  const at::Tensor flat = at::zeros({3, 7});
  const Loss still = distillation_loss(flat, flat, {at::zeros({3}, at::kLong)}, options, 3);
  EXPECT_NEAR(still.sums[0].item<double>(), 6 * options.temperature * options.temperature, 1e-4);
  EXPECT_TRUE(still.gradient.isfinite().all().item<bool>());
}

TEST(Loss, SmoothedLabelsAreCrossEntropyWithTheirDistribution) {
  at::manual_seed(9);
  const at::Tensor z = at::randn({4, 6}) * 3, labels = at::randint(6, {4}, at::kLong);
  constexpr double kSmoothing = 0.1;
  const Loss loss = distillation_loss(z, {}, {labels}, {}, 4, kSmoothing);
  double hard = 0;
  for (int64_t i = 0; i < 4; ++i) {
    const Row q = softmax(row_of(z, i), 1);
    for (std::size_t c = 0; c < 6; ++c) {
      const bool own = static_cast<int64_t>(c) == labels[i].item<int64_t>();
      const double target = kSmoothing / 6 + (own ? 1 - kSmoothing : 0);
      hard -= target * std::log(q[c]);
      EXPECT_NEAR(loss.gradient[i][static_cast<int64_t>(c)].item<double>(), (q[c] - target) / 4,
                  1e-6);
    }
  }
  EXPECT_NEAR(loss.sums[1].item<double>(), hard, 1e-4);
}

/// Labels that are mixed with themselves go through tensors, others through the kernel.
TEST(Loss, RowsOfManyClassesAreWhatTensorsSay) {
  at::manual_seed(12);
  for (const int64_t classes : {1, 2, 15, 16, 17, 1003, 4000}) {
    const at::Tensor z = at::randn({6, classes}) * 5, t = at::randn({6, classes}) * 4;
    const at::Tensor own = at::randint(classes, {6}, at::kLong);
    for (const at::Tensor& teacher : {t, at::Tensor()}) {
      for (const double temperature : {1.0, 3.0}) {
        for (const double smoothing : {0.0, 0.1}) {
          DistillOptions options;
          options.temperature = temperature;
          const Loss rows = distillation_loss(z, teacher, {own}, options, 9, smoothing);
          const Loss tensors =
              distillation_loss(z, teacher, {own, own, 0.5}, options, 9, smoothing);
          SCOPED_TRACE(testing::Message() << classes << " classes, T " << temperature);
          EXPECT_LT((rows.sums - tensors.sums).abs().max().item<double>(),
                    1e-5 * (1 + tensors.sums.abs().max().item<double>()));
          EXPECT_LT((rows.gradient - tensors.gradient).abs().max().item<double>(), 2e-7);
        }
      }
    }
  }
}

TEST(Loss, ALogitThatIsNoNumberLeavesNone) {
  for (const float wrong : {std::nanf(""), INFINITY, -INFINITY}) {
    at::Tensor z = at::randn({2, 35}), t = at::randn({2, 35});
    z[0][34] = wrong;
    t[1][3] = wrong;
    const at::Tensor labels = at::zeros({2}, at::kLong);
    const Loss own = distillation_loss(z, {}, {labels}, {}, 2);
    EXPECT_FALSE(std::isfinite(own.sums[1].item<float>()));
    EXPECT_TRUE(own.gradient[0].isnan().all().item<bool>());
    EXPECT_TRUE(own.gradient[1].isfinite().all().item<bool>());
    const Loss its = distillation_loss(at::randn({2, 35}), t, {labels}, {}, 2);
    EXPECT_FALSE(std::isfinite(its.sums[0].item<float>()));
    EXPECT_TRUE(its.gradient[1].isnan().all().item<bool>());
  }
}

TEST(Loss, MixedLabelsCountByTheirShares) {
  at::manual_seed(10);
  const at::Tensor z = at::randn({5, 6}) * 3, t = at::randn({5, 6}) * 3;
  const at::Tensor own = at::randint(6, {5}, at::kLong), partners = own.roll(1);
  for (const auto& [share, smoothing, kind] : {std::tuple{0.7, 0.0, SoftLoss::kl},
                                               {0.25, 0.1, SoftLoss::kl},
                                               {0.5, 0.0, SoftLoss::dist},
                                               {0.0, 0.1, SoftLoss::dist},
                                               {1.0, 0.0, SoftLoss::kl}}) {
    DistillOptions options;
    options.loss = kind;
    options.soft_weight = 0.4;
    const double mix = share, smooth = smoothing;
    const auto hard = [&](const Rows& at) {
      double sum = 0;
      for (std::size_t i = 0; i < 5; ++i) {
        const auto k = static_cast<int64_t>(i);
        for (int64_t c = 0; c < 6; ++c) {
          const double target =
              smooth / 6 + (1 - smooth) * ((c == own[k].item<int64_t>() ? mix : 0) +
                                           (c == partners[k].item<int64_t>() ? 1 - mix : 0));
          sum += target * plain_hard(at[i], c);
        }
      }
      return sum;
    };
    const Rows rows = rows_of(z), its = rows_of(t);
    const auto soft = [&](const Rows& at) {
      if (options.loss == SoftLoss::dist) return plain_dist(at, its, options.temperature);
      double sum = 0;
      for (std::size_t i = 0; i < 5; ++i) sum += plain_soft(at[i], its[i], options);
      return sum;
    };
    const Loss loss = distillation_loss(z, t, {own, partners, share}, options, 9, smoothing);
    EXPECT_NEAR(loss.sums[0].item<double>(), soft(rows), 1e-4);
    EXPECT_NEAR(loss.sums[1].item<double>(), hard(rows), 1e-4);
    const at::Tensor expected = share >= 0.5 ? own : partners;
    EXPECT_EQ(loss.sums[2].item<double>(), z.argmax(1).eq(expected).sum().item<double>());
    expect_slopes(
        loss.gradient, rows, [&](const Rows& at) { return (0.4 * soft(at) + 0.6 * hard(at)) / 9; },
        5e-6);
  }
}

TEST(Loss, EqualLogitsHaveNoSoftLoss) {
  at::manual_seed(4);
  const at::Tensor z = at::randn({9, 11}) * 5, labels = at::randint(11, {9}, at::kLong);
  for (const double temperature : {1.0, 2.0, 5.0}) {
    DistillOptions options;
    options.temperature = temperature;
    options.soft_weight = 1;
    // The softmax does not change when a constant is added to a row.
    for (const double shift : {0.0, 2.5}) {
      const Loss loss = distillation_loss(z, z + shift, {labels}, options, 9);
      EXPECT_NEAR(loss.sums[0].item<double>(), 0, 1e-4);
      EXPECT_NEAR(loss.gradient.abs().max().item<double>(), 0, 1e-6);
    }
  }
}

TEST(Loss, MicroBatchesAddUp) {
  at::manual_seed(5);
  const at::Tensor z = at::randn({13, 6}), t = at::randn({13, 6});
  const at::Tensor labels = at::randint(6, {13}, at::kLong);
  const DistillOptions options;
  const Loss whole = distillation_loss(z, t, {labels}, options, 13);
  at::Tensor sums = at::zeros({3});
  for (int64_t first = 0; first < 13; first += 5) {
    const int64_t count = std::min<int64_t>(5, 13 - first);
    const Loss part = distillation_loss(z.narrow(0, first, count), t.narrow(0, first, count),
                                        {labels.narrow(0, first, count)}, options, 13);
    sums += part.sums;
    EXPECT_LT(largest_difference(part.gradient, whole.gradient.narrow(0, first, count)), 1e-8);
  }
  EXPECT_LT(largest_difference(sums, whole.sums), 1e-4);
  const at::Tensor none = at::zeros({0, 6});
  const Loss empty = distillation_loss(none, none, {at::zeros({0}, at::kLong)}, options, 13);
  EXPECT_EQ(empty.sums.abs().sum().item<float>(), 0);
  EXPECT_EQ(empty.gradient.sizes(), none.sizes());
}

TEST(Loss, StaysFiniteForLogitsFarApart) {
  at::Tensor z = at::zeros({2, 3}), t = at::zeros({2, 3});
  z[0][0] = 1e4f;
  t[0][1] = 1e4f;
  const at::Tensor labels = at::zeros({2}, at::kLong);
  const Loss loss = distillation_loss(z, t, {labels}, {}, 2);
  EXPECT_TRUE(std::isfinite(loss.sums.sum().item<float>()));
  EXPECT_TRUE(std::isfinite(loss.gradient.sum().item<float>()));
  EXPECT_NEAR(loss.sums[0].item<double>(), 2 * 1e4, 1);  // T^2 (10^4 / T)
}

}  // namespace
}  // namespace bitstill
