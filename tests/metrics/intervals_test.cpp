#include "bitstill/metrics/intervals.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace bitstill {
namespace {

TEST(Intervals, StudentsQuantilesAreThoseOfTheTables) {
  // Two-sided 95 %, from printed tables.
  const std::pair<int64_t, double> kTable[] = {
      {1, 12.7062}, {2, 4.30265},  {3, 3.18245},  {4, 2.77645},  {5, 2.57058},  {6, 2.44691},
      {9, 2.26216}, {10, 2.22814}, {29, 2.04523}, {30, 2.04227}, {120, 1.97993}};
  for (const auto& [degrees, t] : kTable) EXPECT_NEAR(student_t(degrees), t, 5e-5) << degrees;
  EXPECT_NEAR(student_t(4, 0.99), 4.60409, 1e-5);
  EXPECT_NEAR(student_t(7, 0.90), 1.89458, 1e-5);
  EXPECT_NEAR(student_t(1000000), 1.959964, 1e-5);  // the normal distribution
  EXPECT_NEAR(student_t(1, 0.5), 1, 1e-12);         // Cauchy's quartile
}

TEST(Intervals, MeanOfAWorkedExample) {
  // 5 values, mean 3, standard deviation sqrt(2.5): 2.77645 * sqrt(2.5 / 5) to each side.
  const Interval interval = mean_interval({1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(interval.mean, 3);
  EXPECT_NEAR(interval.low, 3 - 1.963243, 1e-5);
  EXPECT_NEAR(interval.high, 3 + 1.963243, 1e-5);
}

TEST(Intervals, ASingleValueHasNoInterval) {
  const Interval one = mean_interval({97.5});
  EXPECT_EQ(one.mean, 97.5);
  EXPECT_TRUE(std::isnan(one.low) && std::isnan(one.high));
  EXPECT_TRUE(std::isnan(mean_interval({}).mean));
}

TEST(Intervals, PairsCancelWhatIsCommon) {
  // The seeds differ by 20 points, the methods by 1 to 3 in each.
  const Interval paired = paired_interval({71, 82, 93}, {70, 80, 90});
  EXPECT_DOUBLE_EQ(paired.mean, 2);
  EXPECT_NEAR(paired.low, 2 - 4.30265 / std::sqrt(3.0), 1e-4);
  EXPECT_NEAR(paired.high, 2 + 4.30265 / std::sqrt(3.0), 1e-4);
  const Interval equal = paired_interval({90, 91}, {90, 91});
  EXPECT_EQ(equal.low, 0);
  EXPECT_EQ(equal.high, 0);
}

TEST(Intervals, DifferenceOfProportionsIsNewcombes) {
  // Newcombe 1998, table II, method 10: 56/70 against 48/80 and 5/56 against 0/29.
  const Interval first = proportion_difference(56, 70, 48, 80);
  EXPECT_NEAR(first.mean, 20, 1e-12);
  EXPECT_NEAR(first.low, 5.24, 0.005);
  EXPECT_NEAR(first.high, 33.39, 0.005);
  const Interval second = proportion_difference(5, 56, 0, 29);
  EXPECT_NEAR(second.low, -3.81, 0.005);
  EXPECT_NEAR(second.high, 19.26, 0.005);
  EXPECT_TRUE(std::isnan(proportion_difference(1, 2, 0, 0).mean));
}

}  // namespace
}  // namespace bitstill
