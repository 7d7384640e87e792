#include <gtest/gtest.h>

#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

SizePoint point(const std::string& name, double bytes, double accuracy) {
  return {name, "var(--c1)", bytes, accuracy, accuracy - 1, accuracy + 1};
}

TEST(ScatterFigure, TheFrontierIsWhatNoOtherBeatsInBoth) {
  const std::vector<SizePoint> points = {point("c", 300, 97),         point("a", 100, 90),
                                         point("worse", 200, 89),     point("b", 150, 95),
                                         point("same size", 150, 94), point("as good", 400, 97),
                                         point("no size", NAN, 99)};
  EXPECT_EQ(frontier(points), (std::vector<std::size_t>{1, 3, 0}));
}

TEST(ScatterFigure, AnIntervalHasACapWhereItEndsOnTheAxis) {
  const SizePoint whole{"a", "var(--c1)", 100, 90, 85, 95},
      open{"b", "var(--c1)", 100, 99.9, 99, 100};
  EXPECT_EQ(times(scatter_figure({whole}), "class=\"interval\""), 3u * 3);
  EXPECT_EQ(times(scatter_figure({open}), "class=\"interval\""), 3u * 2);
}

TEST(ScatterFigure, EveryDotTellsItsNameCrowdedOnesOnlyWhenPointedAt) {
  std::vector<SizePoint> crowd;
  for (int i = 0; i < 60; ++i) crowd.push_back(point(concat("arm", i), 5000 + i, 96 + 0.001 * i));
  const std::string page = scatter_figure(crowd);
  EXPECT_EQ(times(page, "class=\"dot\""), 3u * 60);  // a drawing for each width of the page
  EXPECT_LT(times(page, "class=\"name\""), 3u * 60);
  EXPECT_GE(times(page, "class=\"name\""), 3u);
  const std::string two = scatter_figure({point("small", 100, 90), point("large", 90000, 95)});
  EXPECT_EQ(times(two, "class=\"name\""), 3u * 2);
  EXPECT_EQ(scatter_figure({}), "");
}

}  // namespace
}  // namespace bitstill
