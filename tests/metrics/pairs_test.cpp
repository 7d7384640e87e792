#include "bitstill/metrics/pairs.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bitstill {
namespace {

TEST(Pairs, CountsByHand) {
  PairCounts pairs;
  const SampleScore zero{0, 0, 0, 1}, one{1, 0, 0, 1}, two{2, 0, 0, 1}, none{-1, 3, NAN, NAN};
  pairs.add(zero, zero, 0, 0.5);
  pairs.add(zero, one, 0, 0.25);
  pairs.add(zero, two, 0, 0.25);
  pairs.add(one, zero, 0, 0);
  pairs.add(two, two, 0, 0);
  EXPECT_EQ(pairs.both, 1);
  EXPECT_EQ(pairs.only_reference, 2);
  EXPECT_EQ(pairs.only_model, 1);
  EXPECT_EQ(pairs.neither, 1);
  EXPECT_EQ(pairs.samples(), 5);
  EXPECT_EQ(pairs.agreement(), 40);
  EXPECT_EQ(pairs.mean_kl(), 0.2);
  EXPECT_DOUBLE_EQ(pairs.difference(), -20);
  pairs.add(none, none, 0, NAN);
  EXPECT_EQ(pairs.neither, 2);
  EXPECT_EQ(pairs.same, 2) << "two answers that are not finite are not the same answer";
  EXPECT_GT(pairs.mean_kl(), 1e5);
  int64_t sum = 0;
  for (const int64_t* part : pairs.sums()) sum += *part;
  EXPECT_EQ(sum, 6 + 2 + pairs.kl_units);
  EXPECT_EQ(PairCounts().difference(), 0);
}

// Binomial tails written out: 2 (1 + 5) / 2^5 and so on.
TEST(Pairs, McNemarsExactTest) {
  EXPECT_EQ(mcnemar_p(0, 0), 1);
  EXPECT_EQ(mcnemar_p(1, 0), 1);
  EXPECT_DOUBLE_EQ(mcnemar_p(0, 5), 2.0 / 32);
  EXPECT_DOUBLE_EQ(mcnemar_p(1, 4), 12.0 / 32);
  EXPECT_DOUBLE_EQ(mcnemar_p(4, 1), 12.0 / 32);
  EXPECT_EQ(mcnemar_p(3, 3), 1);
  EXPECT_NEAR(mcnemar_p(2, 10), 2 * (1 + 12 + 66) / 4096.0, 1e-15);
  // The sum of C(75, 0..16) over 2^74 in whole numbers.
  EXPECT_NEAR(mcnemar_p(59, 16), 6.114156572521502e-7, 1e-18);
}

TEST(Pairs, McNemarNearsTheNormalDistribution) {
  for (const auto& [b, c] : {std::pair{480, 520}, {4900, 5100}, {50000, 50500}}) {
    const double n = b + c, z = (std::abs(b - c) - 1) / std::sqrt(n);
    EXPECT_NEAR(mcnemar_p(b, c), std::erfc(z / std::sqrt(2.0)), 1e-3) << b << " " << c;
  }
  EXPECT_EQ(mcnemar_p(0, 5000), 0);
  EXPECT_GT(mcnemar_p(0, 1000), 0);
  EXPECT_NEAR(std::log2(mcnemar_p(0, 1000)), -999, 1e-9);
}

// 21 children before and after: 1 alone before, 7 alone after (Bentur et al. 2009); the interval
// from -0.508 to -0.013 by hand: (2 - 8) / 23 -+ 1.96 sqrt((10/23 - 36/529) / 23).
TEST(Pairs, IntervalOfThePairedDifference) {
  PairCounts pairs;
  pairs.both = 1;
  pairs.only_model = 1;
  pairs.only_reference = 7;
  pairs.neither = 12;
  const auto [low, high] = difference_interval(pairs);
  EXPECT_NEAR(low, -50.8, 0.05);
  EXPECT_NEAR(high, -1.3, 0.05);
  std::swap(pairs.only_model, pairs.only_reference);
  EXPECT_DOUBLE_EQ(difference_interval(pairs).first, -high);
  EXPECT_DOUBLE_EQ(difference_interval(pairs).second, -low);
}

TEST(Pairs, IntervalsAreNeverPointsAndStayInRange) {
  EXPECT_EQ(difference_interval({}), (std::pair<double, double>{-100, 100}));
  for (const int64_t n : {1, 10, 1000}) {
    PairCounts equal, lost;
    equal.both = lost.only_reference = n;
    EXPECT_LT(difference_interval(equal).first, 0);
    EXPECT_GT(difference_interval(equal).second, 0);
    EXPECT_GE(difference_interval(lost).first, -100);
    EXPECT_GT(difference_interval(lost).second, -100);
  }
}

// The interval covers the true difference in about 95 % of all samples of 200 pairs.
TEST(Pairs, IntervalCovers) {
  const double gained = 0.03, lost = 0.07;
  const int n = 200;
  double covered = 0, total = 0;
  for (int b = 0; b <= 60; ++b) {
    for (int c = 0; c <= 60; ++c) {
      const double log_p = std::lgamma(n + 1) - std::lgamma(b + 1) - std::lgamma(c + 1) -
                           std::lgamma(n - b - c + 1) + b * std::log(lost) + c * std::log(gained) +
                           (n - b - c) * std::log(1 - lost - gained);
      PairCounts pairs;
      pairs.only_reference = b;
      pairs.only_model = c;
      pairs.both = n - b - c;
      const auto [low, high] = difference_interval(pairs);
      total += std::exp(log_p);
      if (low <= -4 && -4 <= high) covered += std::exp(log_p);
    }
  }
  EXPECT_NEAR(total, 1, 1e-9);
  EXPECT_NEAR(covered, 0.95, 0.01);
}

TEST(Pairs, ClassesThatLostMost) {
  ClassificationTally reference(4), model(4);
  const auto add = [](ClassificationTally& tally, int64_t label, int right, int wrong) {
    for (int i = 0; i < right; ++i) tally.add({label, 0, 0, 1}, label);
    for (int i = 0; i < wrong; ++i) tally.add({(label + 1) % 4, 1, 0, 1}, label);
  };
  add(reference, 0, 10, 0), add(model, 0, 9, 1);  // 10 points
  add(reference, 1, 4, 0), add(model, 1, 3, 1);   // 25 points
  add(reference, 2, 3, 1), add(model, 2, 4, 0);   // gained
  add(reference, 3, 2, 2), add(model, 3, 2, 2);   // equal
  const auto lost = classes_that_lost(reference, model, 9);
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0].label, 1);
  EXPECT_EQ(lost[0].samples, 4);
  EXPECT_EQ(lost[0].reference, 4);
  EXPECT_EQ(lost[0].model, 3);
  EXPECT_EQ(lost[1].label, 0);
  EXPECT_EQ(classes_that_lost(reference, model, 1).size(), 1u);
}

}  // namespace
}  // namespace bitstill
