#include "bitstill/scale/walk.hpp"

#include <gtest/gtest.h>

#include <mutex>

#include "bitstill/comm/thread_world.hpp"
#include "profiles.hpp"

namespace bitstill {
namespace {

/// Adds up what would have been computed.
class CountingClock final : public StepClock {
 public:
  void compute(double seconds) override { sum_s += seconds; }
  double sum_s = 0;
};

struct Walked {
  WalkMemory memory;
  double computed_s = 0;
};

/// `steps` of it on ranks that are threads, by lanes or (reference) without.
std::vector<Walked> walk(const StepProfile& profile, int world, int steps, bool lanes) {
  std::vector<Walked> walked(static_cast<std::size_t>(world), Walked{{profile, world}, 0});
  run_as_ranks(world, [&](Communicator& comm) {
    const auto open = [&](std::unique_ptr<Communicator> own) {
      return lanes ? make_lane_channel(std::move(own)) : make_inline_channel(std::move(own));
    };
    const auto gradients = open(comm.duplicate(Traffic::gradients));
    std::unique_ptr<Channel> gathers;
    if (profile.group > 0) {
      const auto color = static_cast<int>(comm.rank() / profile.group);
      gathers = open(comm.split(color, comm.rank(), Traffic::gathers));
    }
    Walked& mine = walked[static_cast<std::size_t>(comm.rank())];
    std::fill(mine.memory.message.begin(), mine.memory.message.end(), 1.0F);
    std::fill(mine.memory.stack.begin(), mine.memory.stack.end(), 1.0F);
    std::fill(mine.memory.slices.begin(), mine.memory.slices.end(),
              static_cast<uint8_t>(comm.rank() + 1));
    CountingClock clock;
    StepWalk steps_of(profile, comm.rank(), world, *gradients, gathers.get(), clock, mine.memory);
    for (int i = 0; i < steps; ++i) steps_of.step();
    steps_of.settle();
    mine.computed_s = clock.sum_s;
  });
  return walked;
}

/// Every float of the message is summed once a step, whatever the plan.
void expect_summed(const std::vector<Walked>& walked, float sum) {
  for (const Walked& one : walked) {
    for (const float value : one.memory.message) ASSERT_EQ(value, sum);
  }
}

TEST(StepWalk, SumsEveryGradientOnce) {
  for (const bool lanes : {false, true}) {
    for (const int world : {1, 3, 4}) {
      expect_summed(walk(some_profile(5, 300), world, 1, lanes), static_cast<float>(world));
    }
  }
}

TEST(StepWalk, AddsAllMicroBatchesInTheFixedOrder) {
  StepProfile profile = some_profile(4, 200);
  profile.fixed = true;
  for (const int64_t micro_batches : {1, 2, 3}) {
    profile.micro_batches = micro_batches;
    for (const bool lanes : {false, true}) {
      // All rows are full of ones; a rank's stack holds as many as partial sums are left.
      const int world = 3;
      const auto walked = walk(profile, world, 1, lanes);
      const float first = walked[0].memory.message[0];
      EXPECT_GE(first, static_cast<float>(world));
      expect_summed(walked, first);
    }
  }
}

TEST(StepWalk, ComputesWhatTheProfileSays) {
  StepProfile profile = with_slices(some_profile(3, 100), 2);
  profile.micro_batches = 3;
  const double pass_s = profile.pass_s + profile.forward_s() + profile.backward_s();
  const double step_s = profile.begin_s + profile.update_s + 3 * pass_s + 4 * 0.001;
  for (const Walked& one : walk(profile, 4, 5, true))
    EXPECT_NEAR(one.computed_s, 5 * step_s, 1e-12);
}

TEST(StepWalk, GathersTheSlicesOfItsGroup) {
  const StepProfile profile = with_slices(some_profile(2, 50), 2);
  for (const bool lanes : {false, true}) {
    const auto walked = walk(profile, 4, 3, lanes);
    for (std::size_t rank = 0; rank < walked.size(); ++rank) {
      // The window's first piece: this group's two slices.
      const auto first = static_cast<uint8_t>(rank / 2 * 2 + 1);
      const auto& window = walked[rank].memory.window;
      EXPECT_TRUE(std::find(window.begin(), window.end(), first) != window.end());
      EXPECT_TRUE(std::find(window.begin(), window.end(), first + 1) != window.end());
      for (const uint8_t value : window) {
        ASSERT_TRUE(value == 0 || value == first || value == first + 1) << int{value};
      }
    }
  }
}

TEST(StepWalk, SendsAsManyBytesAsItsPlanHas) {
  const StepProfile profile = with_slices(some_profile(5, 300), 2);
  const TrafficCounts before = traffic_counts();
  walk(profile, 2, 3, true);
  const TrafficCounts after = traffic_counts();
  const auto sent = [&](Traffic kind) {
    return after[static_cast<std::size_t>(kind)].bytes -
           before[static_cast<std::size_t>(kind)].bytes;
  };
  EXPECT_EQ(sent(Traffic::gradients), 2 * 3 * 4 * (profile.sums + profile.elements));
  // What has left for the step that does not come depends on the window alone.
  int64_t slices = 0;
  for (const GatherPiece& piece : profile.slices.pieces) slices += piece.slice_bytes;
  EXPECT_GE(sent(Traffic::gathers), 2 * 3 * slices);
  EXPECT_LT(sent(Traffic::gathers), 2 * 4 * slices);
}

}  // namespace
}  // namespace bitstill
