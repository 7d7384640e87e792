#include "bitstill/comm/tree_message.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "bitstill/comm/thread_world.hpp"
#include "tree_definition.hpp"

namespace bitstill {
namespace {

constexpr int64_t kCount = 11, kFlags = 3;
using Values = std::vector<float>;

/// Magnitudes far apart, so that every other order of additions gives other bits; whole flags.
Values leaf_values(int64_t leaf) {
  std::mt19937 random(static_cast<unsigned>(leaf) * 7919u + 3u);
  Values values(kCount);
  for (float& value : values) {
    value =
        std::ldexp(static_cast<float>(random() % 16384) - 8192.0F, static_cast<int>(random() % 20));
  }
  for (int64_t k = 0; k < kFlags; ++k)
    values[static_cast<std::size_t>(k)] = static_cast<float>(leaf % (k + 2));
  return values;
}

/// What a rank without leaves has to say.
float flag_of(int rank, int64_t flag) {
  return static_cast<float>(100 * rank + flag);
}

/// The sum that all ranks are to get.
Values expected_sum(const std::vector<int64_t>& first, bool flags) {
  Values sum = tree_sum(first.back(), leaf_values);
  for (std::size_t rank = 0; flags && rank + 1 < first.size(); ++rank) {
    if (first[rank] < first[rank + 1]) continue;
    for (int64_t k = 0; k < kFlags; ++k)
      sum[static_cast<std::size_t>(k)] += flag_of(static_cast<int>(rank), k);
  }
  return sum;
}

/// Checks the sum over ranks with these leaves, in two parts on one channel, the flags in the
/// first.
void check_sum(const std::vector<int64_t>& first, bool flags, bool lane) {
  const LeafTree tree(first);
  const Values expected = expected_sum(first, flags);
  run_as_ranks(static_cast<int>(first.size()) - 1, [&](Communicator& comm) {
    const int rank = comm.rank();
    const auto channel = lane ? make_lane_channel(comm.duplicate(Traffic::gradients))
                              : make_inline_channel(comm.duplicate(Traffic::gradients));
    std::vector<Values> rows;
    Values last(kCount, std::nanf(""));
    if (tree.first_leaf(rank) == tree.first_leaf(rank + 1)) {
      for (int64_t k = 0; k < kFlags; ++k) last[static_cast<std::size_t>(k)] = flag_of(rank, k);
    }
    for (int64_t leaf = tree.first_leaf(rank); leaf < tree.first_leaf(rank + 1); ++leaf) {
      if (leaf + 1 == tree.first_leaf(rank + 1)) {
        last = leaf_values(leaf);
        break;
      }
      rows.push_back(leaf_values(leaf));
      for (int merges = tree.merges(rank, leaf); merges > 0; --merges) {
        for (std::size_t i = 0; i < kCount; ++i) rows[rows.size() - 2][i] += rows.back()[i];
        rows.pop_back();
      }
    }
    EXPECT_EQ(rows_before_last(tree, rank), static_cast<int64_t>(rows.size()));
    std::vector<EventPtr> sums;
    for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 5}, {5, kCount - 5}}) {
      TreePart part{{}, last.data() + begin, count, begin == 0 && flags ? kFlags : 0};
      for (Values& row : rows) part.rows.push_back(row.data() + begin);
      sums.push_back(sum_by_tree(*channel, tree, std::move(part)));
    }
    for (const EventPtr& sum : sums) channel->wait(sum);
    EXPECT_EQ(std::memcmp(last.data(), expected.data(), kCount * sizeof(float)), 0)
        << first.back() << " leaves, rank " << rank << " of " << comm.world();
  });
}

TEST(TreeMessage, HasTheBitsOfTheTreeOnEveryRank) {
  for (const std::size_t world : {1, 2, 3, 5}) {
    for (const int64_t leaves : {1, 2, 3, 6, 13}) {
      std::vector<int64_t> first;  // some ranks have none where there are fewer than ranks
      for (std::size_t r = 0; r <= world; ++r)
        first.push_back(leaves * static_cast<int64_t>(r) / static_cast<int64_t>(world));
      for (const bool lane : {false, true}) check_sum(first, true, lane);
    }
  }
}

TEST(TreeMessage, RanksWithoutLeavesGiveTheirFlagsAlone) {
  for (const std::vector<int64_t>& first :
       {std::vector<int64_t>{0, 0, 0, 5, 5, 7, 7}, {0, 4, 4, 4}, {0, 0, 0, 1}}) {
    check_sum(first, true, true);
    check_sum(first, false, false);
  }
}

TEST(TreeMessage, OrderMattersForTheTestsNumbers) {
  Values forward(kCount);
  for (int64_t leaf = 0; leaf < 13; ++leaf) {
    const Values values = leaf_values(leaf);
    for (std::size_t i = 0; i < kCount; ++i) forward[i] += values[i];
  }
  EXPECT_NE(forward, expected_sum({0, 13}, false));
}

}  // namespace
}  // namespace bitstill
