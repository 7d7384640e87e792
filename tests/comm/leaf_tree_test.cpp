#include "bitstill/comm/leaf_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/thread_world.hpp"
#include "tree_definition.hpp"

namespace bitstill {
namespace {

constexpr int64_t kCount = 7;
using Values = std::vector<float>;

/// Magnitudes far apart, so that every other order of additions gives other bits.
Values leaf_values(int64_t leaf) {
  std::mt19937 random(static_cast<unsigned>(leaf) * 7919u + 1u);
  Values values(kCount);
  for (float& value : values) {
    const float sign = random() % 2 ? 1.0f : -1.0f;
    value = sign * std::ldexp(1.0f + static_cast<float>(random() % 8191) / 8192.0f,
                              static_cast<int>(random() % 20));
  }
  return values;
}

Values reference(int64_t leaves) {
  return leaves == 0 ? Values(kCount, 0.0f) : tree_sum(leaves, leaf_values);
}

/// What a rank does in a step: its leaves in order, then the sum across ranks.
Values sum_on(Communicator& comm, const LeafTree& tree, const std::vector<int64_t>& first) {
  const auto r = static_cast<std::size_t>(comm.rank());
  std::vector<Values> stack;
  int greatest = 0;
  for (int64_t leaf = first[r]; leaf < first[r + 1]; ++leaf) {
    stack.push_back(leaf_values(leaf));
    greatest = std::max(greatest, static_cast<int>(stack.size()));
    for (int m = tree.merges(comm.rank(), leaf); m > 0; --m) {
      for (std::size_t i = 0; i < kCount; ++i) stack[stack.size() - 2][i] += stack.back()[i];
      stack.pop_back();
    }
  }
  EXPECT_EQ(greatest, tree.stack_depth(comm.rank()));
  EXPECT_EQ(stack.size(), tree.partials(comm.rank()).size());
  std::vector<float*> partials;
  for (Values& values : stack) partials.push_back(values.data());
  Values result(kCount, -1.0f);
  const bool in_place = !partials.empty() && first.back() % 2 == 0;
  float* target = in_place ? partials[0] : result.data();
  tree.sum(comm, partials, target, kCount);
  LeafSum leaf_sum(tree, comm.rank(), kCount);
  for (int64_t leaf = first[r]; leaf < first[r + 1]; ++leaf) leaf_sum.add(leaf_values(leaf).data());
  const Values again = leaf_sum.finish(comm);
  EXPECT_EQ(0, std::memcmp(again.data(), target, kCount * sizeof(float)));
  return Values(target, target + kCount);
}

void expect_reference(const std::vector<int64_t>& first) {
  const LeafTree tree(first);
  const Values expected = reference(first.back());
  run_as_ranks(static_cast<int>(first.size()) - 1, [&](Communicator& comm) {
    const Values got = sum_on(comm, tree, first);
    EXPECT_EQ(0, std::memcmp(got.data(), expected.data(), kCount * sizeof(float)))
        << "leaves " << first.back() << " on " << comm.world() << " ranks";
  });
}

TEST(LeafTree, EveryEvenDistributionHasTheBitsOfTheDefinition) {
  for (int world : {1, 2, 3, 4, 5}) {
    for (int64_t leaves = 0; leaves <= 21; ++leaves) {
      std::vector<int64_t> first;
      for (int r = 0; r <= world; ++r) first.push_back(leaves * r / world);
      expect_reference(first);
    }
  }
}

TEST(LeafTree, EveryUnevenDistributionHasTheBitsOfTheDefinition) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 200; ++trial) {
    const auto leaves = static_cast<int64_t>(random() % 40);
    std::vector<int64_t> first{0, leaves};
    for (unsigned cut = random() % 6; cut > 0; --cut) {
      first.push_back(static_cast<int64_t>(random() % static_cast<unsigned>(leaves + 1)));
    }
    std::sort(first.begin(), first.end());
    expect_reference(first);
  }
}

TEST(LeafTree, OrderMattersForTheTestsNumbers) {
  Values forward(kCount, 0.0f);
  for (int64_t leaf = 0; leaf < 13; ++leaf) {
    const Values values = leaf_values(leaf);
    for (std::size_t i = 0; i < kCount; ++i) forward[i] += values[i];
  }
  EXPECT_NE(forward, reference(13));
}

TEST(LeafTree, OneRankEndsWithTheRootAlone) {
  const LeafTree tree({0, 11});
  EXPECT_EQ(tree.partials(0), (std::vector<TreeNode>{{4, 0}}));
  EXPECT_EQ(tree.stack_depth(0), 4);  // 7: leaves 0-3, 4-5, 6 and 7 before its merges
  EXPECT_EQ(tree.merges(0, 0), 0);
  EXPECT_EQ(tree.merges(0, 7), 3);
  EXPECT_EQ(tree.merges(0, 10), 2);  // 10 joins 8-9, then 0-7
}

TEST(LeafTree, ALeafsOwnerIsTheRankThatHoldsIt) {
  const LeafTree tree({0, 0, 2, 2, 3});  // ranks 0 and 2 hold none
  EXPECT_EQ(tree.owner(0), 1);
  EXPECT_EQ(tree.owner(1), 1);
  EXPECT_EQ(tree.owner(2), 3);
}

TEST(LeafTree, PartialsNameTheHighestNode) {
  const LeafTree tree({0, 3, 3, 9});
  EXPECT_EQ(tree.partials(0), (std::vector<TreeNode>{{1, 0}, {0, 2}}));
  EXPECT_TRUE(tree.partials(1).empty());
  EXPECT_EQ(tree.partials(2), (std::vector<TreeNode>{{0, 3}, {2, 1}, {3, 1}}));
}

TEST(LeafTree, RefusesWhatDoesNotAscend) {
  EXPECT_THROW(LeafTree({0, 4, 3}), Error);
  EXPECT_THROW(LeafTree({1, 4}), Error);
  EXPECT_THROW(LeafTree({}), Error);
}

}  // namespace
}  // namespace bitstill
