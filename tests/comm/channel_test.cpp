#include "bitstill/comm/channel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
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

TEST_P(AnyChannel, GathersBytesAndKeepsTheirMemoryUntilTheyAreDone) {
  const auto first = make_lane_channel(make_solo_communicator(Traffic::control));
  const auto channel = solo();
  auto memory = std::make_shared<std::vector<uint8_t>>(std::vector<uint8_t>{1, 2, 3, 0, 0, 0});
  const std::weak_ptr<std::vector<uint8_t>> watched = memory;
  std::vector<uint8_t> seen(3);
  uint8_t* const bytes = memory->data();
  channel->wait(channel->all_gather(bytes, seen.data(), 3, nullptr, memory));
  EXPECT_EQ(seen, (std::vector<uint8_t>{1, 2, 3}));

  // Its only owner is the work, which begins once `ready` has happened.
  const EventPtr ready = first->enqueue(
      [](Communicator&) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
  const EventPtr done = channel->all_gather(bytes, bytes + 3, 3, ready, std::move(memory));
  const EventPtr copied = channel->all_gather(seen.data(), seen.data(), 3, nullptr);
  channel->wait(done);
  EXPECT_TRUE(watched.expired());
  channel->wait_on_host(copied);
  EXPECT_EQ(seen, (std::vector<uint8_t>{1, 2, 3}));
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

/// A communicator whose gathers tell when they have begun and written, and wait in between.
struct Gate {
  std::promise<void> begun, open, written;
};
class SlowCommunicator final : public Communicator {
 public:
  explicit SlowCommunicator(std::shared_ptr<Gate> gate)
      : Communicator(0, 1, Traffic::gathers), gate_(std::move(gate)) {}
  std::unique_ptr<Communicator> duplicate(Traffic) override { return nullptr; }

 protected:
  std::unique_ptr<Communicator> do_split(int, int, Traffic) override { return nullptr; }
  void do_all_reduce(void*, int64_t, ElementType, Reduction) override {}
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType) override {
    gate_->begun.set_value();
    gate_->open.get_future().wait();
    std::memmove(all, mine, static_cast<std::size_t>(count));
    gate_->written.set_value();
  }
  void do_all_to_all(const void*, void*, int64_t, ElementType) override {}
  void do_broadcast(void*, int64_t, ElementType, int) override {}
  void do_barrier() override {}
  void do_send(const void*, int64_t, ElementType, int) override {}
  void do_receive(void*, int64_t, ElementType, int) override {}

 private:
  std::shared_ptr<Gate> gate_;
};

TEST(LaneChannel, ALaneLeftBehindOwnsWhatItWritesAndDropsWhatItHasNotBegun) {
  const auto gate = std::make_shared<Gate>();
  constexpr int64_t kBytes = 100'003;
  std::weak_ptr<std::vector<uint8_t>> running, waiting;
  try {
    const auto channel = make_lane_channel(std::make_unique<SlowCommunicator>(gate));
    for (auto* watched : {&running, &waiting}) {
      auto memory = std::make_shared<std::vector<uint8_t>>(2 * kBytes, uint8_t{7});
      *watched = memory;
      uint8_t* const bytes = memory->data();
      channel->all_gather(bytes, bytes + kBytes, kBytes, nullptr, std::move(memory));
    }
    gate->begun.get_future().wait();
    throw Error(ExitCode::data, "bad batch");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
  }
  ASSERT_FALSE(running.expired());
  EXPECT_TRUE(waiting.expired());
  gate->open.set_value();
  gate->written.get_future().wait();  // a sanitizer would see a write into freed memory
  while (!running.expired()) std::this_thread::yield();
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
      const TrafficCounts before = traffic_counts();
      comm.barrier();  // ranks count together, as threads of one process
      for (auto& chunk : chunks) {
        events.push_back(
            gradients->all_reduce(chunk.data(), static_cast<int64_t>(chunk.size()), nullptr));
        events.push_back(gathers->all_gather(slice.data(), gathered.data(), 41 * 4, nullptr));
      }
      for (std::size_t e = 0; e < events.size(); ++e) {
        (e % 2 ? gathers : gradients)->wait(events[e]);
      }
      comm.barrier();
      const auto kind = static_cast<std::size_t>(Traffic::gathers);
      EXPECT_EQ(traffic_counts()[kind].bytes - before[kind].bytes, 3 * 20 * 41 * 4);
      EXPECT_EQ(traffic_counts()[kind].messages - before[kind].messages, 3 * 20);
      comm.barrier();
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
