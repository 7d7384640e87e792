#include "bitstill/comm/link.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "bitstill/comm/plan.hpp"
#include "bitstill/comm/thread_world.hpp"

namespace bitstill {
namespace {

constexpr double kLatency_s = 1e-3, kBytesPerS = 2e7;

/// Sums that take kLatency_s + bytes / kBytesPerS of a clock of its own, the first ones of a burst
/// a tenth.
class SlowLink final : public Communicator {
 public:
  explicit SlowLink(Communicator& inner)
      : Communicator(inner.rank(), inner.world(), inner.kind()), inner_(inner) {}
  double now_s() const { return now_s_; }
  std::unique_ptr<Communicator> duplicate(Traffic kind) override { return inner_.duplicate(kind); }

 protected:
  std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) override {
    return inner_.split(color, key, kind);
  }
  void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) override {
    const double seconds = kLatency_s + 4 * static_cast<double>(count) / kBytesPerS;
    now_s_ += sums_++ < 2 ? 0.1 * seconds : seconds;
    inner_.all_reduce(data, count, type, op);
  }
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    inner_.all_gather(mine, all, count, type);
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    inner_.all_to_all(mine, theirs, count, type);
  }
  void do_broadcast(void* data, int64_t count, ElementType type, int root) override {
    inner_.broadcast(data, count, type, root);
  }
  void do_barrier() override { inner_.barrier(); }
  void do_send(const void* data, int64_t count, ElementType type, int to) override {
    inner_.send(data, count, type, to);
  }
  void do_receive(void* data, int64_t count, ElementType type, int from) override {
    inner_.receive(data, count, type, from);
  }

 private:
  Communicator& inner_;
  double now_s_ = 5;
  int sums_ = 0;
};

TEST(Link, IsMeasuredAndEqualOnAllRanks) {
  std::mutex mutex;
  std::vector<LinkSpeed> found;
  run_as_ranks(3, [&](Communicator& comm) {
    SlowLink slow(comm);
    const double begin_s = slow.now_s();
    const LinkSpeed speed = measure_link(slow, [&] { return slow.now_s(); });
    const std::lock_guard lock(mutex);
    EXPECT_LE(slow.now_s() - begin_s, 0.2);
    EXPECT_GE(slow.now_s() - begin_s, 0.05);
    found.push_back(speed);
  });
  ASSERT_EQ(found.size(), 3u);
  for (const LinkSpeed& speed : found) {
    EXPECT_EQ(speed.latency_s, found[0].latency_s);
    EXPECT_EQ(speed.bytes_per_s, found[0].bytes_per_s);
    EXPECT_NEAR(speed.bytes_per_s, kBytesPerS, 1e-3 * kBytesPerS);
    EXPECT_NEAR(speed.latency_s, kLatency_s, 1e-3 * kLatency_s);
  }
}

TEST(Link, IsMeasuredByARealClock) {
  run_as_ranks(2, [](Communicator& comm) {
    const LinkSpeed speed = measure_link(comm);
    EXPECT_GE(speed.latency_s, 0);
    EXPECT_GT(speed.bytes_per_s, 0);
    EXPECT_TRUE(std::isfinite(speed.bytes_per_s));
  });
}

TEST(Link, ChunksKeepBothSharesWhereBothCanBeKept) {
  for (const double latency_s : {0.0, 1e-6, 5e-5, 1e-3, 2e-2}) {
    for (const double rate : {1e5, 2.5e7, 1e9, 2e10}) {
      for (const int64_t bytes : {100, 20'000, 4'050'000, 400'000'000}) {
        SCOPED_TRACE(testing::Message() << latency_s << " s, " << rate << " B/s, " << bytes);
        const int64_t chunk = chunk_bytes_for({latency_s, rate}, bytes);
        EXPECT_GE(chunk, 1024);
        EXPECT_EQ(chunk % 64, 0);
        const double transfer_s = static_cast<double>(chunk) / rate;
        const bool latency_small = latency_s <= 0.1 * transfer_s;
        const bool last_short = chunk <= 0.02 * static_cast<double>(bytes);
        // Latency is small, unless all of it in one message is too short for that.
        EXPECT_TRUE(latency_small || chunk >= bytes);
        // The last is short, unless a shorter one would be all latency.
        EXPECT_TRUE(last_short || chunk == 1024 ||
                    latency_s > 0.1 * static_cast<double>(chunk - 64) / rate);
      }
    }
  }
}

TEST(Link, KnownChoices) {
  EXPECT_EQ(chunk_bytes_for({0, 1e9}, 6'400'000), 128'000);       // 2 % of all
  EXPECT_EQ(chunk_bytes_for({1e-3, 2.5e7}, 6'400'000), 250'048);  // ten latencies
  EXPECT_EQ(chunk_bytes_for({1, 1e9}, 6'400'000), 6'400'000);     // one message
  EXPECT_EQ(chunk_bytes_for({0, 1e9}, 16'000), 1024);
}

}  // namespace
}  // namespace bitstill
