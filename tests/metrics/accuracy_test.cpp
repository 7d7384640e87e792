#include "bitstill/metrics/accuracy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bitstill {
namespace {

TEST(Accuracy, SumsAreExactInAnyOrderAndGrouping) {
  std::vector<double> losses;
  for (int i = 0; i < 1001; ++i) losses.push_back(std::exp(std::sin(i) * 8));
  ClassificationCounts whole;
  for (const double loss : losses) {
    whole.add_loss(loss);
    ++whole.samples;
  }
  std::reverse(losses.begin(), losses.end());
  ClassificationCounts parts[3], sum;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    parts[i % 3].add_loss(losses[i]);
    ++parts[i % 3].samples;
  }
  for (const int part : {2, 0, 1}) sum += parts[part];
  EXPECT_EQ(sum.loss_units, whole.loss_units);
  EXPECT_EQ(sum.samples, 1001);
  double plain = 0;
  for (const double loss : losses) plain += loss;
  EXPECT_NEAR(sum.mean_loss(), plain / 1001, 0x1p-25);
}

TEST(Accuracy, ClampsLosses) {
  const auto units = [](double loss) {
    ClassificationCounts counts;
    counts.add_loss(loss);
    return counts.loss_units;
  };
  EXPECT_EQ(units(1), 1 << 24);
  EXPECT_EQ(units(0x1p-24), 1);
  EXPECT_EQ(units(-3), 0);
  EXPECT_EQ(units(1e30), int64_t{1} << 44);
  EXPECT_EQ(units(std::numeric_limits<double>::infinity()), int64_t{1} << 44);
  EXPECT_EQ(units(std::nan("")), int64_t{1} << 44);
}

TEST(Accuracy, IsInPercent) {
  EXPECT_EQ(ClassificationCounts{}.accuracy(), 0);
  EXPECT_EQ(ClassificationCounts{}.mean_loss(), 0);
  ClassificationCounts counts{8, 7, 0};
  counts += {8, 5, 0};
  EXPECT_EQ(counts.accuracy(), 75);
}

// The interval's ends are the p for which |correct/n - p| = z sqrt(p (1 - p) / n).
TEST(Accuracy, WilsonSolvesItsEquation) {
  const double z = 1.959963984540054;
  for (const int64_t n : {1, 7, 1000, 10000}) {
    for (const int64_t correct : {int64_t{0}, n / 3, n - n / 50, n}) {
      const auto [low, high] = wilson_interval(correct, n);
      EXPECT_LE(0, low);
      EXPECT_LT(low, high);
      EXPECT_LE(high, 100);
      for (const double end : {low / 100, high / 100}) {
        const double measured = static_cast<double>(correct) / static_cast<double>(n);
        EXPECT_NEAR(std::abs(measured - end),
                    z * std::sqrt(end * (1 - end) / static_cast<double>(n)), 1e-7);
      }
    }
  }
  EXPECT_EQ(wilson_interval(0, 0), (std::pair<double, double>{0, 100}));
  EXPECT_NEAR(wilson_interval(970, 1000).first, 95.75, 0.01);
  EXPECT_NEAR(wilson_interval(970, 1000).second, 97.89, 0.01);
}

TEST(AccuracyText, SaysNoneWhereNothingWasCounted) {
  EXPECT_EQ(accuracy_text({}), "none");
  EXPECT_EQ(accuracy_text({1000, 974, 0}), "97.40 % (95 % interval 96.22 to 98.22)");
}

}  // namespace
}  // namespace bitstill
