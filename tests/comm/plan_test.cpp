#include "bitstill/comm/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

/// Parameters of odd sizes, each starting on 64 bytes (16 floats).
std::vector<Range> make_segments(const std::vector<int64_t>& counts) {
  std::vector<Range> segments;
  int64_t at = 0;
  for (const int64_t count : counts) {
    segments.push_back({at, count});
    at += (count + 15) / 16 * 16;
  }
  return segments;
}

int64_t buffer_size(const std::vector<Range>& segments) {
  return segments.empty() ? 0 : (segments.back().end() + 15) / 16 * 16;
}

bool overlap(const Range& a, const Range& b) {
  return a.offset < b.end() && b.offset < a.end();
}

TEST(Plan, ChunksTileTheBufferFromEndToStart) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<int64_t> counts(random() % 12);
    for (int64_t& count : counts) count = static_cast<int64_t>(1 + random() % 2000);
    const auto segments = make_segments(counts);
    const int64_t elements = buffer_size(segments);
    const int64_t chunk_bytes = 1 + static_cast<int64_t>(random() % 6000);
    int64_t end = elements;
    for (const Range& chunk : plan_chunks(elements, segments, chunk_bytes)) {
      EXPECT_EQ(chunk.end(), end);
      EXPECT_GT(chunk.count, 0);
      EXPECT_LE(chunk.count * 4, std::max<int64_t>(chunk_bytes, 64));
      EXPECT_EQ(chunk.offset % 16, 0);
      end = chunk.offset;
    }
    EXPECT_EQ(end, 0);
  }
}

TEST(Plan, SmallSegmentsShareAChunkAndLargeOnesAreCut) {
  // 32 + 16 + 100 floats (as 112) in chunks of at most 48 floats.
  const std::vector<Range> segments{{0, 32}, {32, 9}, {48, 100}};
  EXPECT_EQ(plan_chunks(160, segments, 48 * 4),
            (std::vector<Range>{{144, 16}, {96, 48}, {48, 48}, {0, 48}}));
  EXPECT_EQ(plan_chunks(160, segments), (std::vector<Range>{{0, 160}}));
}

TEST(Plan, RefusesOverlappingSegments) {
  EXPECT_THROW(plan_chunks(100, {{0, 20}, {16, 4}}), Error);
  EXPECT_THROW(plan_chunks(100, {{0, 101}}), Error);
}

TEST(ChunkGate, AnyOrderOfHooksGivesThePlanAndNoChunkTooEarlyOrTooLate) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<int64_t> counts(1 + random() % 12);
    for (int64_t& count : counts) count = static_cast<int64_t>(1 + random() % 500);
    const auto segments = make_segments(counts);
    const auto plan =
        plan_chunks(buffer_size(segments), segments, 64 + static_cast<int64_t>(random() % 3000));
    ChunkGate gate(plan, segments);
    for (int step = 0; step < 2; ++step) {
      std::vector<std::size_t> order(segments.size());
      std::iota(order.begin(), order.end(), 0u);
      std::shuffle(order.begin(), order.end(), random);
      order.resize(random() % (order.size() + 1));  // some parameters have no hook
      std::set<std::size_t> ready;
      std::vector<Range> sent;
      gate.arm();
      for (const std::size_t k : order) {
        gate.mark_ready(segments[k]);
        ready.insert(k);
        const auto taken = gate.take_ready();
        sent.insert(sent.end(), taken.begin(), taken.end());
        // As many chunks as the definition allows: all before the first one that must wait, and not
        // the last.
        std::size_t allowed = 0;
        const auto waits = [&](const Range& chunk) {
          for (std::size_t s = 0; s < segments.size(); ++s) {
            if (!ready.count(s) && overlap(segments[s], chunk)) return true;
          }
          return false;
        };
        while (allowed + 1 < plan.size() && !waits(plan[allowed])) ++allowed;
        EXPECT_EQ(sent.size(), allowed);
      }
      const auto rest = gate.finish();
      sent.insert(sent.end(), rest.begin(), rest.end());
      EXPECT_EQ(sent, plan);
      EXPECT_TRUE(gate.take_ready().empty());
      EXPECT_TRUE(gate.finish().empty());
    }
  }
}

TEST(ChunkGate, OneMarkMayCoverSeveralSegments) {
  const std::vector<Range> segments{{0, 16}, {16, 3}, {32, 16}};
  ChunkGate gate(plan_chunks(48, segments, 64), segments);
  gate.mark_ready({16, 32});
  EXPECT_EQ(gate.take_ready().size(), 2u);
  gate.mark_ready({0, 16});
  EXPECT_TRUE(gate.take_ready().empty());
  EXPECT_EQ(gate.finish().size(), 1u);
}

TEST(ChunkGate, RefusesPartsRepeatsAndLateMarks) {
  const std::vector<Range> segments{{0, 16}, {16, 16}};
  ChunkGate gate(plan_chunks(32, segments, 64), segments);
  EXPECT_THROW(gate.mark_ready({4, 12}), Error);
  EXPECT_THROW(gate.mark_ready({0, 12}), Error);
  gate.mark_ready({16, 16});
  EXPECT_THROW(gate.mark_ready({16, 16}), Error);
  gate.finish();
  EXPECT_THROW(gate.mark_ready({0, 16}), Error);
}

}  // namespace
}  // namespace bitstill
