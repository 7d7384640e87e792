#include "bitstill/comm/channel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <thread>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"

namespace bitstill {
namespace {

using Maker = std::unique_ptr<Channel> (*)(std::unique_ptr<Communicator>);
class AnyChannel : public testing::TestWithParam<Maker> {
 protected:
  static std::unique_ptr<Channel> solo() {
    return GetParam()(make_solo_communicator(Traffic::gradients));
  }
};

INSTANTIATE_TEST_SUITE_P(Cpu, AnyChannel, testing::Values(&make_lane_channel, &make_inline_channel),
                         [](const auto& made) { return made.index == 0 ? "lane" : "inline"; });

TEST_P(AnyChannel, KeepsTheOrder) {
  const auto channel = solo();
  std::vector<int> order;
  EventPtr last;
  for (int i = 0; i < 100; ++i) {
    last = channel->enqueue([&order, i](Communicator&) { order.push_back(i); });
  }
  channel->wait(last);
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_P(AnyChannel, AnErrorReachesItsWaiterAndAllThatFollows) {
  const auto channel = solo();
  std::atomic<bool> ran_after{false};
  const EventPtr well = channel->enqueue([](Communicator&) {});
  const EventPtr bad =
      channel->enqueue([](Communicator&) { throw Error(ExitCode::numbers, "not finite"); });
  EXPECT_NO_THROW(channel->wait(well));
  EXPECT_THROW(channel->wait(bad), Error);
  EXPECT_THROW(channel->wait(bad), Error);  // again
  EXPECT_THROW(channel->enqueue([&](Communicator&) { ran_after = true; }), Error);
  float value = 1;
  EXPECT_THROW(channel->all_reduce(&value, 1, nullptr), Error);
  EXPECT_FALSE(ran_after);
}

TEST_P(AnyChannel, WaitsForAnotherChannelsEvent) {
  const auto first = make_lane_channel(make_solo_communicator(Traffic::gathers));
  const auto second = solo();
  float value = 1;
  const EventPtr ready = first->enqueue([&](Communicator&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    value = 2;
  });
  const EventPtr done = second->all_reduce(&value, 1, ready);
  second->wait(done);
  EXPECT_EQ(value, 2);
}

TEST_P(AnyChannel, CountsBusySecondsOnce) {
  const auto channel = solo();
  channel->wait(channel->enqueue(
      [](Communicator&) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }));
  EXPECT_GE(channel->take_busy_seconds(), 0.005);
  EXPECT_EQ(channel->take_busy_seconds(), 0);
}

TEST(LaneChannel, ReturnsBeforeTheWorkIsDone) {
  const auto channel = make_lane_channel(make_solo_communicator(Traffic::gradients));
  std::promise<void> gate;
  std::atomic<bool> ran{false};
  const EventPtr done = channel->enqueue([&](Communicator&) {
    gate.get_future().wait();
    ran = true;
  });
  EXPECT_FALSE(ran);  // it would wait for ever if enqueue() waited for it
  gate.set_value();
  channel->wait(done);
  EXPECT_TRUE(ran);
}

TEST(LaneChannel, FinishesItsQueueAtTheEnd) {
  int ran = 0;
  {
    const auto channel = make_lane_channel(make_solo_communicator(Traffic::gradients));
    for (int i = 0; i < 50; ++i) channel->enqueue([&](Communicator&) { ++ran; });
  }
  EXPECT_EQ(ran, 50);
}

TEST(LaneChannel, DoesNotHangWhenAnExceptionUnwinds) {
  // Shared: the lane's thread outlives this frame until the gate opens.
  const auto gate = std::make_shared<std::promise<void>>();
  const auto ran_later = std::make_shared<std::atomic<bool>>(false);
  EventPtr dropped;
  std::unique_ptr<Channel> other = make_inline_channel(make_solo_communicator(Traffic::control));
  try {
    const auto channel = make_lane_channel(make_solo_communicator(Traffic::gradients));
    channel->enqueue([gate](Communicator&) { gate->get_future().wait(); });
    dropped = channel->enqueue([ran_later](Communicator&) { *ran_later = true; });
    throw Error(ExitCode::data, "bad batch");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
  }
  gate->set_value();
  EXPECT_THROW(other->wait(dropped), Error);
  EXPECT_FALSE(*ran_later);
}

/// Rank r's gradient; sums over ranks are exact in float.
std::vector<float> gradient(int rank, std::size_t count, int chunk) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((rank + 1) * (static_cast<int>(i % 97) - 40) + chunk);
  }
  return values;
}

TEST(Channels, LanesGiveWhatTheCallingThreadGives) {
  run_as_ranks(3, [](Communicator& comm) {
    std::vector<std::vector<float>> results;
    for (const Maker make : {&make_lane_channel, &make_inline_channel}) {
      const auto gradients = make(comm.duplicate(Traffic::gradients));
      const auto gathers = make(comm.duplicate(Traffic::gathers));
      std::vector<std::vector<float>> chunks;
      for (int k = 0; k < 20; ++k) {
        chunks.push_back(gradient(comm.rank(), static_cast<std::size_t>(1 + 37 * k), k));
      }
      std::vector<EventPtr> events;
      std::vector<float> gathered(3 * 41);
      const std::vector<float> slice = gradient(comm.rank(), 41, 5);
      for (auto& chunk : chunks) {
        events.push_back(
            gradients->all_reduce(chunk.data(), static_cast<int64_t>(chunk.size()), nullptr));
        events.push_back(gathers->enqueue([&](Communicator& lane) {
          lane.all_gather(slice.data(), gathered.data(), 41, ElementType::f32);
        }));
      }
      for (std::size_t e = 0; e < events.size(); ++e) {
        (e % 2 ? gathers : gradients)->wait(events[e]);
      }
      std::vector<float> all = gathered;
      for (const auto& chunk : chunks) all.insert(all.end(), chunk.begin(), chunk.end());
      results.push_back(std::move(all));
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0][3 * 41], (1 + 2 + 3) * -40.0f);  // chunk 0, element 0
  });
}

}  // namespace
}  // namespace bitstill
