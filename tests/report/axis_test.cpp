#include "bitstill/report/axis.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

using Values = std::vector<double>;

bool nice(double value) {
  if (value == 0) return true;
  const double digits = std::abs(value) / std::pow(10, std::floor(std::log10(std::abs(value)) - 3));
  return std::abs(digits - std::round(digits)) < 1e-6;
}

void expect_near(const Values& ticks, const Values& wanted) {
  ASSERT_EQ(ticks.size(), wanted.size());
  for (std::size_t i = 0; i < ticks.size(); ++i) EXPECT_NEAR(ticks[i], wanted[i], 1e-9);
}

TEST(Axis, LinearTicksAreRoundAndEncloseTheData) {
  expect_near(Axis(Spacing::linear, {0.3, 11.2}, true).ticks(), {0, 2, 4, 6, 8, 10, 12});
  expect_near(Axis(Spacing::linear, {0.011, 0.047}).ticks(), {0.01, 0.02, 0.03, 0.04, 0.05});
  const Axis axis(Spacing::linear, {-7, 13});
  EXPECT_EQ(axis.place(axis.ticks().front()), 0);
  EXPECT_EQ(axis.place(axis.ticks().back()), 1);
}

TEST(Axis, ExactEndsKeepTheTicksInside) {
  const Axis axis(Spacing::linear, {0.5, 11}, true, Axis::End::exact);
  expect_near(axis.ticks(), {0, 2, 4, 6, 8, 10});
  EXPECT_EQ(axis.place(11), 1);
}

TEST(Axis, LogarithmicTicksAreOneTwoFive) {
  const Axis axis(Spacing::logarithmic, {6320, 61234});
  expect_near(axis.ticks(), {5000, 10000, 20000, 50000, 100000});
  EXPECT_NEAR(axis.place(20000) - axis.place(10000), axis.place(10000) - axis.place(5000), 1e-9);
}

TEST(Axis, AccuracyIsSpreadByItsError) {
  const Axis axis(Spacing::error, {71.4, 98.2});
  expect_near(axis.ticks(), {50, 80, 90, 95, 98, 99});
  EXPECT_NEAR(axis.place(99) - axis.place(98), axis.place(90) - axis.place(80), 1e-9);
  EXPECT_EQ(Axis(Spacing::error, {10, 100}).place(100), 1);
}

TEST(Axis, ALogarithmicAxisBeginsAtAMarkedValue) {
  // Linear steps over less than a factor of four would begin at zero, which has no place on it.
  const Axis axis(Spacing::logarithmic, {0.456, 1.8});
  expect_near(axis.ticks(), {0.2, 0.5, 1, 2});
  EXPECT_EQ(axis.place(0.2), 0);
  expect_near(Axis(Spacing::logarithmic, {1.2, 1.9}).ticks(), {1.2, 1.4, 1.6, 1.8, 2});
}

TEST(Axis, KnowsWhatLiesBeyondItsEnds) {
  const Axis accuracy(Spacing::error, {90, 100});
  EXPECT_TRUE(accuracy.covers(99));
  EXPECT_FALSE(accuracy.covers(100)) << "an error of zero has no place on a logarithmic axis";
  const Axis exact(Spacing::linear, {2, 11}, false, Axis::End::exact);
  EXPECT_TRUE(exact.covers(2) && exact.covers(11));
  EXPECT_FALSE(exact.covers(1) || exact.covers(12));
}

TEST(Axis, AnyDataGivesAtLeastTwoRoundTicksInOrder) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const std::vector<Values> sets = {
      {},          {0},
      {5},         {-3},
      {100},       {NAN, 2},
      {kInfinite}, {1e-9, 3e-9},
      {1e9, 7e9},  {99.9, 99.95},
      {65, 91},    {1, 1.0000000001},
      {0, 1e-300}, {1e17, 1e17},
      {97, 97.1},  {1e-6, 1e6},
      {-5, 2e4},   {5e-324},
      {0, 5e-324}, {-1.7e308, 1.7e308}};  // whose spans round to 0 or infinity
  for (const Spacing scale : {Spacing::linear, Spacing::logarithmic, Spacing::error}) {
    for (const bool from_zero : {false, true}) {
      for (std::size_t i = 0; i < sets.size(); ++i) {
        const Axis axis(scale, sets[i], from_zero);
        const auto& ticks = axis.ticks();
        const auto labels = tick_labels(ticks);
        SCOPED_TRACE(testing::Message() << "scale " << static_cast<int>(scale) << " set " << i);
        ASSERT_GE(ticks.size(), 2u);
        ASSERT_LE(ticks.size(), 20u);
        for (std::size_t j = 0; j < ticks.size(); ++j) {
          EXPECT_TRUE(scale == Spacing::error ? nice(100 - ticks[j]) || nice(ticks[j])
                                              : nice(ticks[j]))
              << ticks[j];
          if (j == 0) continue;
          EXPECT_NE(labels[j], labels[j - 1]);
          EXPECT_GT(axis.place(ticks[j]), axis.place(ticks[j - 1]));
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitstill
