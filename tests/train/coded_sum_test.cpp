// Gradients in 4 bits: their sum over ranks that are threads, and the choice of codec auto.
#include "bitstill/train/coded_sum.hpp"

#include <gtest/gtest.h>

#include <mutex>

#include "bitstill/comm/thread_world.hpp"
#include "bitstill/quant/gradient_codes.hpp"
#include "bitstill/train/codec_choice.hpp"
#include "coded_sums.hpp"

namespace bitstill {
namespace {

TEST(CodedSum, IsNearTheSumAndEqualOnAllRanks) {
  for (const int world : {1, 2, 3, 4, 7}) {
    for (const int64_t count : {0, 1, 31, 32, 33, 127, 1000, 4097}) {
      SCOPED_TRACE(testing::Message() << count << " on " << world);
      run_as_ranks(world, [&](Communicator& comm) { check_coded_sum(comm, count, 3); });
    }
  }
}

TEST(CodedSum, HasNoBias) {
  constexpr int64_t kSteps = 3000, kCount = 150;
  std::vector<double> mean(kCount), exact(kCount), worst(kCount);
  for (int r = 0; r < 3; ++r) {
    const std::vector<float> its = gradients_of(r, kCount);
    for (std::size_t i = 0; i < exact.size(); ++i) exact[i] += its[i];
  }
  run_as_ranks(3, [&](Communicator& comm) {
    CodedSum coded(12);
    for (int64_t step = 0; step < kSteps; ++step) {
      std::vector<float> values = gradients_of(comm.rank(), kCount);
      coded.sum(comm, values.data(), {0, kCount}, step);
      if (comm.rank() != 0) continue;
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / kSteps;
    }
  });
  // Two shares' variances are at most a quarter of a unit's square each, the sum's one likewise.
  const double unit = 0.5 / 7, of_sum = (1.5 + 2 * unit) / 7;
  const double spread = std::sqrt((2 * unit * unit + of_sum * of_sum) / 4 / kSteps);
  double all = 0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    EXPECT_LE(std::abs(mean[i] - exact[i]), 4.5 * spread) << i;
    all += (mean[i] - exact[i]) / kCount;
  }
  EXPECT_LE(std::abs(all), 4.5 * spread / std::sqrt(static_cast<double>(kCount)));
}

TEST(CodedSum, WhatIsNotFiniteOnOneRankArrivesOnAll) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const std::size_t place : {0, 500, 999}) {
      run_as_ranks(4, [&](Communicator& comm) {
        std::vector<float> values = gradients_of(comm.rank(), 1000);
        if (comm.rank() == 2) values[place] = bad;
        CodedSum(1).sum(comm, values.data(), {0, 1000}, 0);
        EXPECT_TRUE(std::isnan(values[place]));
        for (std::size_t i = 0; i < values.size(); ++i) {
          EXPECT_TRUE(i / 256 == place / 256 || std::isfinite(values[i])) << i;
        }
      });
    }
  }
  run_as_ranks(2, [](Communicator& comm) {  // finite numbers whose sum is not
    std::vector<float> values(100, 3e38f);
    CodedSum(1).sum(comm, values.data(), {0, 100}, 0);
    for (const float value : values) EXPECT_FALSE(std::isfinite(value));
  });
}

TEST(CodedSum, TakesASixthOfARingsBytes) {
  constexpr int64_t kCount = 32768;
  for (const int world : {2, 3, 4, 16}) {
    const TrafficCount before = traffic_counts()[0];
    run_as_ranks(world, [&](Communicator& control) {
      const auto comm = control.duplicate(Traffic::gradients);
      std::vector<float> values = gradients_of(comm->rank(), kCount);
      CodedSum(1).sum(*comm, values.data(), {0, kCount}, 0);
    });
    // Counted: all codes of others' parts once, and the own part's once, which world - 1 ranks get.
    const int64_t share = (kCount / kGradientGroup + world - 1) / world * kGradientGroup;
    const int64_t part = gradient_code_bytes(share);
    EXPECT_EQ(traffic_counts()[0].bytes - before.bytes, world * world * part);
    EXPECT_EQ(traffic_counts()[0].messages - before.messages, 2 * world);
    EXPECT_LT(2.0 * (world - 1) * static_cast<double>(part),
              2.0 * (world - 1) / world * 4 * kCount / 6);
  }
}

TEST(CodecChoice, GoesByTheMediansAndTheMargin) {
  EXPECT_EQ(chosen_codec({1e-2, 7.4e-3}), Codec::qsgd);
  EXPECT_EQ(chosen_codec({1e-2, 7.6e-3}), Codec::none);
}

TEST(CodecChoice, IsRankZerosOnAllRanks) {
  std::mutex mutex;
  std::vector<SumSeconds> found;
  run_as_ranks(3, [&](Communicator& comm) {
    double now_s = 0;  // a sum takes from one reading to the next
    const SumSeconds seconds =
        measure_sums(comm, 4096, 20000, [&] { return now_s += 1e-4 * (1 + comm.rank()); });
    EXPECT_GE(now_s, 1e-3);
    const std::lock_guard lock(mutex);
    found.push_back(seconds);
  });
  for (const SumSeconds& seconds : found) {
    EXPECT_NEAR(4096 * seconds.exact, 1e-4, 1e-9);
    EXPECT_NEAR(20000 * seconds.coded, 1e-4, 1e-9);  // all there is, where a chunk were more
  }
}

TEST(CodecChoice, IsMeasuredByARealClock) {
  run_as_ranks(2, [](Communicator& comm) {
    const SumSeconds seconds = measure_sums(comm, 1024, 20000);
    EXPECT_GT(seconds.exact, 0);
    EXPECT_GT(seconds.coded, 0);
    EXPECT_LT(seconds.exact + seconds.coded, 10);
  });
}

}  // namespace
}  // namespace bitstill
