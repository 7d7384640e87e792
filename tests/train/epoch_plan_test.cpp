#include "bitstill/train/epoch_plan.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

/// What holds for every plan: each sample once and in order, at least two in a micro-batch, owners
/// that ascend and cover all micro-batches.
void check_epoch(int64_t samples, int64_t global_batch, int64_t micro_batch, int world) {
  SCOPED_TRACE(testing::Message() << samples << " samples, global batch " << global_batch
                                  << ", micro-batch " << micro_batch << ", " << world << " ranks");
  const EpochPlan plan(samples, global_batch, micro_batch, world);
  int64_t at = 0;
  for (int64_t s = 0; s < plan.steps(); ++s) {
    const StepPlan step = plan.step(s);
    const int64_t start = at;
    for (const MicroBatch& micro : step.micro_batches) {
      ASSERT_EQ(micro.first, at);
      ASSERT_GE(micro.count, 2);
      at += micro.count;
    }
    ASSERT_EQ(step.terms, at - start);
    const bool last = s + 1 == plan.steps();
    ASSERT_TRUE(last || step.terms == global_batch);
    ASSERT_LE(step.terms, global_batch + 1);
    ASSERT_EQ(step.owner_first.size(), static_cast<std::size_t>(world) + 1);
    ASSERT_EQ(step.first_of(0), 0);
    ASSERT_EQ(step.end_of(world - 1), static_cast<int64_t>(step.micro_batches.size()));
    for (int r = 0; r < world; ++r) {
      ASSERT_LE(step.first_of(r), step.end_of(r));
      // Dealt evenly: no rank has two more than another.
      const auto count = static_cast<int64_t>(step.micro_batches.size());
      ASSERT_GE(step.end_of(r) - step.first_of(r), count / world);
      ASSERT_LE(step.end_of(r) - step.first_of(r), (count + world - 1) / world);
    }
  }
  ASSERT_EQ(at, samples);
}

TEST(EpochPlan, EverySampleOnceAndNeverOneAlone) {
  for (const int64_t samples : {2, 3, 5, 16, 17, 31, 64, 65, 101, 257}) {
    for (const int64_t global_batch : {2, 3, 7, 16, 64, 1000}) {
      for (const int64_t micro_batch : {0, 2, 3, 5, 16, 2000}) {
        for (const int world : {1, 2, 3, 4, 7, 40}) {
          check_epoch(samples, global_batch, micro_batch, world);
        }
      }
    }
  }
}

TEST(EpochPlan, MicroBatchesDoNotDependOnTheWorldSize) {
  for (const int64_t samples : {2, 33, 101, 130}) {
    for (const int64_t micro_batch : {2, 3, 16}) {
      const EpochPlan alone(samples, 32, micro_batch, 1);
      for (const int world : {2, 3, 4, 50}) {
        const EpochPlan many(samples, 32, micro_batch, world);
        ASSERT_EQ(many.steps(), alone.steps());
        for (int64_t s = 0; s < alone.steps(); ++s) {
          const auto ours = many.step(s).micro_batches, theirs = alone.step(s).micro_batches;
          ASSERT_EQ(ours.size(), theirs.size());
          for (std::size_t i = 0; i < ours.size(); ++i) {
            ASSERT_EQ(ours[i].first, theirs[i].first);
            ASSERT_EQ(ours[i].count, theirs[i].count);
          }
        }
      }
    }
  }
}

std::vector<int64_t> sizes_of(const StepPlan& step) {
  std::vector<int64_t> sizes;
  for (const MicroBatch& micro : step.micro_batches) sizes.push_back(micro.count);
  return sizes;
}

using Sizes = std::vector<int64_t>;

TEST(EpochPlan, ASingleSampleJoinsItsNeighbour) {
  const EpochPlan plan(33, 16, 4, 2);  // 16 + 16 + 1
  EXPECT_EQ(plan.steps(), 2);
  EXPECT_EQ(sizes_of(plan.step(0)), (Sizes{4, 4, 4, 4}));
  EXPECT_EQ(sizes_of(plan.step(1)), (Sizes{4, 4, 4, 5}));
  EXPECT_EQ(sizes_of(EpochPlan(34, 16, 4, 2).step(2)), (Sizes{2}));
  EXPECT_EQ(sizes_of(EpochPlan(3, 16, 2, 1).step(0)), (Sizes{3}));
}

TEST(EpochPlan, LocalBatchesAreEvenAndSinglesBecomePairs) {
  EXPECT_EQ(sizes_of(EpochPlan(10, 10, 0, 3).step(0)), (Sizes{3, 3, 4}));
  EXPECT_EQ(sizes_of(EpochPlan(8, 8, 0, 8).step(0)), (Sizes{2, 2, 2, 2}));
  EXPECT_EQ(sizes_of(EpochPlan(7, 7, 0, 40).step(0)), (Sizes{2, 2, 3}));
  EXPECT_EQ(sizes_of(EpochPlan(6, 6, 0, 4).step(0)), (Sizes{3, 3}));  // 1 2 1 2
}

TEST(EpochPlan, RanksWithoutSamplesHaveEmptyRuns) {
  const StepPlan step = EpochPlan(5, 64, 16, 4).step(0);
  int64_t owners = 0;
  for (int r = 0; r < 4; ++r) owners += step.end_of(r) > step.first_of(r) ? 1 : 0;
  EXPECT_EQ(owners, 1);
}

TEST(EpochPlan, BatchesFromAStepOnAreThoseOfTheWholeEpoch) {
  std::vector<int64_t> order(103);
  std::iota(order.rbegin(), order.rend(), 0);
  const EpochPlan plan(order, 20, 4, 3);
  const auto all = [&](int rank, int64_t first_step) {
    std::vector<std::vector<int64_t>> batches;
    const BatchPlan next = rank_batches(plan, rank, true, 5, first_step);
    std::vector<int64_t> rows;
    for (int64_t epoch = 0, n = 0; next(n, &rows, &epoch); ++n) {
      EXPECT_EQ(epoch, 5);
      batches.push_back(rows);
    }
    return batches;
  };
  EXPECT_EQ(all(0, 0).front(), std::vector(order.begin(), order.begin() + 4));
  for (int rank = 0; rank < 3; ++rank) {
    const auto whole = all(rank, 0);
    for (int64_t first = 0; first <= plan.steps(); ++first) {
      std::size_t before = 0;
      for (int64_t i = 0; i < first; ++i) {
        before += static_cast<std::size_t>(plan.step(i).passes(rank, true));
      }
      EXPECT_EQ(all(rank, first),
                std::vector(whole.begin() + static_cast<std::ptrdiff_t>(before), whole.end()))
          << first;
    }
  }
}

TEST(EpochPlan, RefusesFewerThanTwoSamples) {
  for (const int64_t samples : {0, 1}) {
    try {
      EpochPlan(samples, 64, 0, 1);
      FAIL() << samples;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_NE(std::string(error.what()).find(std::to_string(samples) + " samples"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace bitstill
