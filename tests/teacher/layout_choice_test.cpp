#include "bitstill/teacher/layout_choice.hpp"

#include <gtest/gtest.h>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

constexpr int64_t kPlain = 5'120'000, kReady = 10'240'000;
constexpr double kMakeReady_s = 0.25, kRun_s = 1;
constexpr double kSlow = 448'000, kFast = 38'400'000;  // bytes a second

/// Ten pieces on eight ranks, four a host: a gather over all takes 10 s, within a host 0.1 s.
std::vector<LayoutCost> costs(int64_t memory, int64_t host = 4, int64_t window = 0) {
  const std::vector<PieceCost> pieces(10, {kPlain, kReady, kMakeReady_s, kRun_s});
  return layout_costs(pieces, {8, {0, kSlow}}, {host, {0, kFast}}, memory, window);
}

TEST(LayoutChoice, WholeWhereItFits) {
  for (const int64_t memory : {int64_t{0}, 10 * kReady}) {
    const auto all = costs(memory);
    ASSERT_EQ(all.size(), 3u);
    const LayoutCost& best = fastest(all, memory);
    EXPECT_EQ(best.sharding, Sharding::replicated);
    EXPECT_EQ(best.bytes, 10 * kReady);
    EXPECT_DOUBLE_EQ(best.seconds, 10 * kRun_s);
  }
}

TEST(LayoutChoice, HybridWhereTheLinkBetweenHostsIsSlow) {
  const int64_t memory = 10 * kReady - 1;
  const auto all = costs(memory);
  EXPECT_FALSE(all[0].fits);
  const LayoutCost& best = fastest(all, memory);
  EXPECT_EQ(best.sharding, Sharding::hybrid);
  EXPECT_EQ(best.group, 4);
  // A window of two pieces hides all gathers.
  EXPECT_EQ(best.bytes, 10 * kPlain / 4 + 2 * kPlain + kReady);
  EXPECT_DOUBLE_EQ(best.seconds, 10 * (kMakeReady_s + kRun_s));
  // One piece at a time is what fits, or what was given: every gather is waited for.
  for (const auto& [bound, window] : {std::pair{30'000'000, 0}, std::pair{0, 5'200'000}}) {
    const LayoutCost narrow = costs(bound, 4, window)[1];
    EXPECT_TRUE(narrow.fits);
    EXPECT_EQ(narrow.window, window > 0 ? window : bound - 10 * kPlain / 4 - kReady);
    EXPECT_NEAR(narrow.seconds, 10 * (kMakeReady_s + kRun_s + 0.1), 1e-9);
  }
}

TEST(LayoutChoice, GatherWhereNothingElseFits) {
  const int64_t memory = 28'000'000;  // of which hybrid takes 160,000 more with one piece
  const auto all = costs(memory);
  EXPECT_FALSE(all[1].fits);
  const LayoutCost& best = fastest(all, memory);
  EXPECT_EQ(best.sharding, Sharding::gather);
  EXPECT_EQ(best.bytes, 10 * kPlain / 8 + 2 * kPlain + kReady);
  EXPECT_NEAR(best.seconds, 100, 1e-9);  // the lane is never idle
  // On one host, and where hosts cannot be grouped, there is no hybrid.
  for (const int64_t host : {8, 1}) {
    const auto two = costs(memory, host);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(fastest(two, memory).sharding, Sharding::gather);
  }
}

TEST(LayoutChoice, NamesEachNeedWhereNoneFits) {
  const int64_t memory = 21'000'000;
  try {
    fastest(costs(memory), memory);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    EXPECT_STREQ(error.what(),
                 "teacher.memory_mb = 21: no layout of the teacher fits; bytes that each needs: "
                 "replicated 102400000, hybrid 28160000 and gather 21760000");
  }
}

TEST(LayoutChoice, WhatRunsAsItLiesIsKeptAsItLies) {
  const std::vector<PieceCost> units = {{6400, 0, 0, 1}, {128, 0, 0, 1}};
  EXPECT_EQ(layout_costs(units, {2, {}}, {}, 0, 0)[0].bytes, 6528);
  EXPECT_EQ(slice_bytes(6400, 3), 2176);  // a multiple of 64
  EXPECT_EQ(slice_bytes(0, 3), 0);
}

}  // namespace
}  // namespace bitstill
