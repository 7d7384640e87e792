// What travels: messages, their bytes, and what a codec does to the gradients in them.
#include <ATen/ops/ones_like.h>

#include "bitstill/quant/gradient_codes.hpp"
#include "exchange_fixture.hpp"

namespace bitstill {
namespace {

Setting rounded(int64_t chunk_bytes, bool lane) {
  return {ExchangeOrder::fast, lane, chunk_bytes, true, Travels::weights, Codec::bf16};
}

TEST(Exchange, RoundedGradientsAreNearTheSumAndTheSumsExact) {
  const Images images(26);
  for (const int world : {1, 2, 3, 4}) {
    const EpochPlan epoch(26, 13, 0, world);
    const auto plain = run_epoch(world, images, epoch, {ExchangeOrder::fast, false, 1024, true});
    const auto near = run_epoch(world, images, epoch, rounded(1024, world % 2 == 0));
    for (std::size_t s = 0; s < near.size(); ++s) {
      at::Tensor bound = at::zeros_like(plain[s].gradients);
      for (const Leaf& leaf : leaves_of(images, epoch.step(static_cast<int64_t>(s)))) {
        bound += leaf.gradient.abs();
      }
      // Each value is rounded once, each sum of ranks again: 2^-8 of what lies there, each time.
      bound = bound * (world * 0x1p-8 * 1.05) + 1e-12;
      const at::Tensor error = (near[s].gradients - plain[s].gradients).abs();
      EXPECT_TRUE(error.le(bound).all().item<bool>()) << world;
      EXPECT_GT(error.max().item<double>(), 0) << world;
      EXPECT_TRUE(same_bits(near[s].running, plain[s].running)) << world;
      EXPECT_EQ(near[s].totals.soft, plain[s].totals.soft) << world;
      EXPECT_EQ(near[s].totals.correct, plain[s].totals.correct) << world;
    }
  }
}

TEST(Exchange, WhatIsNotFinitePassesRounding) {
  const EpochPlan epoch(6, 6, 2, 3);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    run_as_ranks(3, [&](Communicator& comm) {
      Student student = small_student(4);
      GradientExchange exchange = exchange_of(comm, student, rounded(1024, true));
      exchange.begin(0, epoch.step(0));
      student.gradients().fill_(1);
      if (comm.rank() == 1) student.gradients()[7] = bad;
      exchange.finish(false, {}, kMomentum);
      const float got = student.gradients()[7].item<float>();
      EXPECT_TRUE(std::isnan(bad) ? std::isnan(got) : got == bad) << bad << " became " << got;
      EXPECT_EQ(student.gradients()[8].item<float>(), 3);
    });
  }
}

/// Chunks are eight times as large as messages.
Setting coded(int64_t gradient_bytes, bool lane) {
  return {ExchangeOrder::fast, lane, gradient_bytes / 8, true, Travels::weights, Codec::qsgd};
}

/// Which elements of the small student's gradients are biases' and norms'.
at::Tensor exact_elements() {
  Student student = small_student(4);
  at::Tensor exact = at::zeros({student.gradients().numel()}, at::kBool);
  for (std::size_t i = 0; i < student.segments().size(); ++i) {
    if (student.network().parameters()[i]->role == ParameterRole::weight) continue;
    exact.narrow(0, student.segments()[i].offset, student.segments()[i].count).fill_(true);
  }
  return exact;
}

TEST(Exchange, CodedGradientsAreNearTheSumAndAllElseExact) {
  const Images images(26);
  const at::Tensor exact = exact_elements();
  for (const int world : {1, 2, 3, 4}) {
    const EpochPlan epoch(26, 13, 0, world);
    const auto plain = run_epoch(world, images, epoch, {ExchangeOrder::fast, false, 1024, true});
    const auto near = run_epoch(world, images, epoch, coded(1024, false));
    const auto lane = run_epoch(world, images, epoch, coded(1024, true));
    for (std::size_t s = 0; s < near.size(); ++s) {
      double bound = 0;  // a unit of each rank, and one of their sum
      for (const Leaf& leaf : leaves_of(images, epoch.step(static_cast<int64_t>(s)))) {
        bound += leaf.gradient.abs().max().item<double>() / 7;
      }
      bound *= 2.2;
      const at::Tensor error = (near[s].gradients - plain[s].gradients).abs();
      EXPECT_LE(error.max().item<double>(), bound) << world;
      EXPECT_EQ(error.max().item<double>() > 0, world > 1);
      EXPECT_EQ(error.masked_select(exact).max().item<double>(), 0) << world;
      EXPECT_TRUE(same_bits(near[s].running, plain[s].running)) << world;
      EXPECT_EQ(near[s].totals.soft, plain[s].totals.soft) << world;
      EXPECT_EQ(near[s].totals.correct, plain[s].totals.correct) << world;
      EXPECT_TRUE(same_bits(near[s].gradients, lane[s].gradients)) << world;
    }
  }
}

TEST(Exchange, WhatIsNotFinitePassesCodes) {
  const EpochPlan epoch(6, 6, 2, 3);
  const at::Tensor exact = exact_elements();
  const auto norm_place = exact.nonzero()[0].item<int64_t>();
  for (const float bad : {NAN, INFINITY}) {
    for (const int64_t place : {int64_t{7}, norm_place}) {
      run_as_ranks(3, [&](Communicator& comm) {
        Student student = small_student(4);
        GradientExchange exchange = exchange_of(comm, student, coded(1024, true));
        exchange.begin(0, epoch.step(0));
        student.gradients().fill_(1);
        if (comm.rank() == 1) student.gradients()[place] = bad;
        exchange.finish(false, {}, kMomentum);
        EXPECT_FALSE(std::isfinite(student.gradients()[place].item<float>()));
        // A norm's is its own affair; a weight's is its bucket's.
        const at::Tensor others =
            student.gradients().masked_select(place == norm_place ? ~exact : exact);
        EXPECT_TRUE(at::equal(others, at::ones_like(others) * 3)) << place;
      });
    }
  }
}

/// Two flags, three sums and the statistics, which ride in a step's last message.
constexpr int64_t kSums = 6 + 2 * (3 + 5 + 9);

/// What all ranks send in an epoch, of a kind.
TrafficCount sent_in_epoch(int world, const Images& images, const EpochPlan& epoch,
                           const Setting& setting, Traffic kind = Traffic::gradients) {
  const auto k = static_cast<std::size_t>(kind);
  const TrafficCount before = traffic_counts()[k];
  run_epoch(world, images, epoch, setting);
  const TrafficCount after = traffic_counts()[k];
  return {after.bytes - before.bytes, after.messages - before.messages};
}

TEST(Exchange, MessagesAreThePlansChunksAndNoMore) {
  const Images images(12);
  const Student student = small_student(4);
  std::vector<Range> ranges;
  int64_t elements = 0;
  for (const Segment& segment : student.segments()) {
    ranges.push_back({segment.offset, segment.count});
    elements = (segment.offset + segment.count + 15) / 16 * 16;
  }
  const EpochPlan epoch(12, 6, 2, 3), with_leafless(10, 5, 2, 4);  // 2 steps
  for (const int64_t chunk_bytes : {512, 1024, 1 << 20}) {
    const auto chunks = static_cast<int64_t>(plan_chunks(elements, ranges, chunk_bytes).size());
    EXPECT_EQ(chunks > 1, chunk_bytes < 1 << 20);
    for (const bool lane : {false, true}) {
      // 3 ranks. Fixed order: two additions across ranks and a broadcast, each one message.
      for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
        const TrafficCount sent = sent_in_epoch(3, images, epoch, {order, lane, chunk_bytes, true});
        EXPECT_EQ(sent.bytes, 3 * 2 * 4 * (elements + kSums)) << order;
        EXPECT_EQ(sent.messages, 3 * 2 * chunks) << order;
      }
    }
    // 2 leaves on 4 ranks: an addition and a broadcast a chunk, and the flags of two ranks.
    const TrafficCount sent =
        sent_in_epoch(4, images, with_leafless, {ExchangeOrder::fixed, true, chunk_bytes, true});
    EXPECT_EQ(sent.bytes, 2 * 2 * 4 * (elements + kSums) + 2 * 2 * 3 * 4);
    EXPECT_EQ(sent.messages, 2 * 2 * chunks + 2 * 2);
    // Rounded: half the bytes, and the sums in a message of their own.
    const TrafficCount half = sent_in_epoch(3, images, epoch, rounded(chunk_bytes, true));
    EXPECT_EQ(half.bytes, 3 * 2 * (2 * elements + 4 * kSums));
    EXPECT_EQ(half.messages, 3 * 2 * (chunks + 1));
    // In codes: each rank's for two others and its own sum's, a chunk; the rest in one message.
    int64_t bytes = 4 * (kSums + exact_elements().sum().item<int64_t>());
    for (const Range& chunk : plan_chunks(elements, ranges, chunk_bytes)) {
      bytes += 3 * gradient_code_bytes((chunk.count + 95) / 96 * 32);
    }
    const TrafficCount codes = sent_in_epoch(3, images, epoch, coded(chunk_bytes, true));
    EXPECT_EQ(codes.bytes, 3 * 2 * bytes);
    EXPECT_EQ(codes.messages, 3 * 2 * (2 * chunks + 1));
  }
}

TEST(Exchange, PointsAloneAreOneMessageAStep) {
  const Images images(12);
  const EpochPlan epoch(12, 6, 2, 3);
  for (const ExchangeOrder order : {ExchangeOrder::fast, ExchangeOrder::fixed}) {
    const Setting setting{order, true, 1024, true, Travels::points};
    const int64_t points = student_of(setting).learned_gradients().numel();
    EXPECT_GT(points, 0);
    const TrafficCount sent = sent_in_epoch(3, images, epoch, setting, Traffic::points);
    EXPECT_EQ(sent.bytes, 3 * 2 * 4 * (points + kSums)) << order;
    EXPECT_EQ(sent.messages, 3 * 2) << order;
    EXPECT_EQ(sent_in_epoch(3, images, epoch, setting, Traffic::gradients).messages, 0) << order;
  }
}

}  // namespace
}  // namespace bitstill
