// Under mpirun: lanes of different traffic, the main thread's control traffic and the watchdog, all
// at once under MPI_THREAD_MULTIPLE. Every value is checked against its formula.
#include <gtest/gtest.h>

#include <deque>

#include "bitstill/comm/watchdog.hpp"
#include "collectives.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kUnderWay = 12;

/// Message `number` of a rank: a length that all know, values that tell rank and message.
int64_t length_of(int64_t number) {
  return number * 7919 % 2903;  // some are empty
}
std::vector<float> message_of(int rank, int64_t number) {
  std::vector<float> values(static_cast<std::size_t>(length_of(number)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((rank + 1) * (number % 97) + static_cast<int64_t>(i % 31));
  }
  return values;
}

/// One message under way, its buffers owned by it; `expected` is what is to come.
struct UnderWay {
  std::vector<float> expected;
  std::shared_ptr<std::vector<float>> got;
  EventPtr done;
};

class Traffics {
 public:
  explicit Traffics(Overlap overlap)
      : gradients_(open_channel(rank_world(), Traffic::gradients, overlap)),
        gathers_(open_channel(rank_world(), Traffic::gathers, overlap)) {}

  void send_sum(int64_t number) {
    std::vector<float> expected(static_cast<std::size_t>(length_of(number)));
    for (int r = 0; r < world_; ++r) {
      const std::vector<float> other = message_of(r, number);
      for (std::size_t i = 0; i < other.size(); ++i) expected[i] += other[i];
    }
    auto data = std::make_shared<std::vector<float>>(message_of(rank_, number));
    const EventPtr done = gradients_->all_reduce(data->data(), length_of(number), nullptr);
    sums_.push_back({std::move(expected), std::move(data), done});
    if (sums_.size() == kUnderWay) check(*gradients_, sums_);
  }
  void send_gather(int64_t number) {
    UnderWay sent;
    for (int r = 0; r < world_; ++r) {
      const std::vector<float> other = message_of(r, number);
      sent.expected.insert(sent.expected.end(), other.begin(), other.end());
    }
    struct Buffers {
      std::vector<float> mine, all;
    };
    const auto buffers = std::make_shared<Buffers>();
    buffers->mine = message_of(rank_, number);
    buffers->all.assign(sent.expected.size(), -1);
    sent.got = {buffers, &buffers->all};
    sent.done = gathers_->all_gather(buffers->mine.data(), buffers->all.data(),
                                     length_of(number) * 4, nullptr, buffers);
    gathered_.push_back(std::move(sent));
    if (gathered_.size() == kUnderWay) check(*gathers_, gathered_);
  }
  void finish() {
    while (!sums_.empty()) check(*gradients_, sums_);
    while (!gathered_.empty()) check(*gathers_, gathered_);
  }

 private:
  void check(Channel& channel, std::deque<UnderWay>& under_way) {
    channel.wait(under_way.front().done);
    EXPECT_EQ(*under_way.front().got, under_way.front().expected);
    under_way.pop_front();
  }
  const int rank_ = rank_world().place().rank, world_ = rank_world().place().world;
  std::deque<UnderWay> sums_, gathered_;  // end after the lanes
  std::unique_ptr<Channel> gradients_, gathers_;
};

TEST(Lanes, TwoLanesControlAndWatchdogAtOnce) {
  ASSERT_TRUE(rank_world().threads_allowed());
  // MPICH's waiting threads hold their cores: where ranks share them, each message takes long.
  const int64_t share = rank_world().library().starts_with("MPICH") ? 5 : 1;
  for (const Overlap overlap : {Overlap::on, Overlap::off}) {
    const int64_t messages = (overlap == Overlap::on ? 1000 : 200) / share;  // of each kind
    Watchdog watchdog(rank_world(), 5.0);
    Traffics traffics(overlap);
    const TrafficCounts before = traffic_counts();
    for (int64_t number = 0; number < messages; ++number) {
      watchdog.progress(Phase::exchange, number);
      traffics.send_sum(number);
      // The lanes' messages keep no order among each other; ranks need not enqueue them alike.
      const bool late = overlap == Overlap::on && rank_world().place().rank % 2 == 1;
      if (!late) traffics.send_gather(number);
      if (number % 5 == 0) {
        check_all_reduce<int64_t>(rank_world().control(), 3, ElementType::i64, Reduction::max);
      }
      if (late) traffics.send_gather(number);
      if (HasFailure()) return;
    }
    traffics.finish();
    int64_t bytes = 0;
    for (int64_t number = 0; number < messages; ++number) bytes += 4 * length_of(number);
    const bool alone = rank_world().place().world == 1;
    for (const Traffic kind : {Traffic::gradients, Traffic::gathers}) {
      const auto k = static_cast<std::size_t>(kind);
      EXPECT_EQ(traffic_counts()[k].bytes - before[k].bytes, alone ? 0 : bytes);
      EXPECT_EQ(traffic_counts()[k].messages - before[k].messages, alone ? 0 : messages);
    }
    watchdog.stop();
  }
}

TEST(Lanes, AnErrorInOneLaneLeavesTheOtherAlone) {
  World& world = rank_world();
  const int rank = world.place().rank;
  const auto gradients = open_channel(world, Traffic::gradients, Overlap::on);
  const auto gathers = open_channel(world, Traffic::gathers, Overlap::on);
  std::vector<float> data = message_of(rank, 10);
  std::vector<uint8_t> mine{static_cast<uint8_t>(rank + 1), 9};
  const auto all = std::make_shared<std::vector<uint8_t>>(2 * world.place().world);
  const EventPtr sum = gradients->all_reduce(data.data(), length_of(10), nullptr);
  const EventPtr bad =
      gathers->enqueue([](Communicator&) { throw Error(ExitCode::numbers, "planted failure"); });
  EXPECT_THROW(gathers->wait(bad), Error);
  EXPECT_THROW(gathers->all_gather(mine.data(), all->data(), 2, nullptr, all), Error);
  EXPECT_EQ(all.use_count(), 1);
  gradients->wait(sum);
  for (int64_t number = 1; number < 50; ++number) {
    check_all_reduce<float>(world.control(), 17, ElementType::f32, Reduction::sum);
    data = message_of(rank, number);
    gradients->wait(gradients->all_reduce(data.data(), length_of(number), nullptr));
    std::vector<float> expected(data.size());
    for (int r = 0; r < world.place().world; ++r) {
      const std::vector<float> other = message_of(r, number);
      for (std::size_t i = 0; i < other.size(); ++i) expected[i] += other[i];
    }
    ASSERT_EQ(data, expected);
  }
}

TEST(Lanes, OfPartsOfTheRanksRunBesideThoseOfAll) {
  World& world = rank_world();
  const int rank = world.place().rank;
  for (const Overlap overlap : {Overlap::on, Overlap::automatic, Overlap::off}) {
    const auto all = open_channel(world, Traffic::gradients, overlap);
    auto pair = world.control().split(rank / 2, rank, Traffic::gathers);
    const int first = rank / 2 * 2, size = pair->world();
    const auto part = open_channel(world, std::move(pair), overlap);
    for (int64_t number = 0; number < 40; ++number) {
      std::vector<float> sum{static_cast<float>(rank + number)};
      const std::vector<uint8_t> mine(33, static_cast<uint8_t>(rank + number));
      std::vector<uint8_t> gathered(33 * static_cast<std::size_t>(size)), expected;
      for (int r = first; r < first + size; ++r) {
        expected.insert(expected.end(), 33, static_cast<uint8_t>(r + number));
      }
      const EventPtr summed = all->all_reduce(sum.data(), 1, nullptr);
      part->wait(part->all_gather(mine.data(), gathered.data(), 33, nullptr));
      all->wait(summed);
      EXPECT_EQ(gathered, expected);
      const int ranks = world.place().world;
      EXPECT_EQ(sum[0], static_cast<float>(ranks * (ranks - 1) / 2 + ranks * number));
    }
  }
}

}  // namespace
}  // namespace bitstill
