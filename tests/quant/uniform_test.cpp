// The fused kernels against the slow reference and the formulas, on every instruction set here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

struct Result {
  std::vector<float> shadows, alpha, beta, decoded;
  std::vector<uint8_t> codes;
  int64_t bad = -1, bad_encode = -1;
};

Result empty_result(const UniformRun& run) {
  const auto count = static_cast<std::size_t>(run.count);
  const std::size_t buckets = buckets_of(run.count, run.bucket);
  Result r;
  r.shadows.assign(count, -77);
  r.decoded.assign(count, -77);
  r.codes.assign(count, 99);
  r.alpha.assign(buckets, -77);
  r.beta.assign(buckets, -77);
  return r;
}

Result by_reference(const UniformRun& run) {
  Result r = empty_result(run);
  r.bad = r.bad_encode =
      reference_uniform(run, r.shadows.data(), r.codes.data(), r.alpha.data(), r.beta.data());
  r.decoded = r.shadows;
  return r;
}

/// fl32(j / (s-1)).
std::vector<float> uniform_points(int count) {
  std::vector<float> points;
  for (int j = 0; j < count; ++j) {
    points.push_back(static_cast<float>(j) / static_cast<float>(count - 1));
  }
  return points;
}

Result by_kernels(const UniformRun& run, bool stream) {
  Result r = empty_result(run);
  r.bad = quantize_uniform(run, stream, r.shadows.data());
  r.bad_encode = encode_uniform(run, r.codes.data(), r.alpha.data(), r.beta.data());
  if (r.bad_encode >= 0) return r;
  const std::vector<float> points = uniform_points(run.points);
  decode_run({r.codes.data(), run.count, run.bucket, points.data(), r.alpha.data(), r.beta.data()},
             r.decoded.data());
  return r;
}

/// Equal bits in everything: a +0 is not a -0.
void expect_equal(const Result& want, const Result& got) {
  ASSERT_EQ(want.bad, got.bad);
  ASSERT_EQ(want.bad_encode, got.bad_encode);
  if (want.bad >= 0) return;
  EXPECT_EQ(want.codes, got.codes);
  EXPECT_EQ(bits_of(want.alpha), bits_of(got.alpha));
  EXPECT_EQ(bits_of(want.beta), bits_of(got.beta));
  EXPECT_EQ(bits_of(want.shadows), bits_of(got.shadows));
  EXPECT_EQ(bits_of(want.shadows), bits_of(got.decoded));
}

TEST(Uniform, EveryTargetEqualsTheReference) {
  on_every_target([&] {
    for (const int64_t count : odd_counts()) {
      for (const int64_t bucket : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{16}, int64_t{100},
                                   int64_t{256}, int64_t{1000}, count}) {
        const int kind = static_cast<int>((count * 5 + bucket) % kKinds);
        const std::vector<float> values = make_values(kind, count);
        for (int n = 0; n < 12; ++n) {
          const int points = n < 8 ? 2 << n : static_cast<int>((count * n + bucket) % 255 + 2);
          const bool stochastic = (count + n) % 2 == 0;
          const UniformRun run{values.data(), count,    bucket,         points,
                               stochastic,    {11, 22}, 1ull << 33 | 5, 1000003};
          SCOPED_TRACE(::testing::Message() << "count " << count << " bucket " << bucket
                                            << " points " << points << " kind " << kind);
          expect_equal(by_reference(run), by_kernels(run, n % 3 == 0));
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  });
}

TEST(Uniform, EveryKindOfTensorAtEveryAlignment) {
  on_every_target([&] {
    for (int kind = 0; kind < kKinds; ++kind) {
      for (int64_t shift = 0; shift < 9; ++shift) {
        const std::vector<float> values = make_values(kind, 777 + shift);
        for (const bool stochastic : {false, true}) {
          // The flat index crosses 2^34, where the high word of Philox' block number changes.
          const UniformRun run{values.data() + shift,
                               777,
                               256,
                               2 << kind % 8,
                               stochastic,
                               {3, 4},
                               9,
                               (uint64_t{1} << 34) - 300 + static_cast<uint64_t>(shift)};
          SCOPED_TRACE(::testing::Message() << "kind " << kind << " shift " << shift);
          expect_equal(by_reference(run), by_kernels(run, false));
        }
      }
    }
  });
}

TEST(Uniform, EveryPointIsTheQuotient) {
  on_every_target([&] {
    for (int count = 2; count <= 256; ++count) {
      const std::vector<float> values = uniform_points(count);
      std::vector<float> shadows(values.size());
      const UniformRun run{values.data(), count, count, count};
      ASSERT_EQ(quantize_uniform(run, false, shadows.data()), -1);
      EXPECT_EQ(bits_of(values), bits_of(shadows)) << count;  // alpha 1, beta 0: w = p_j
    }
  });
}

/// A scale for each bucket: zeros and both signs of beta, ranges that values leave on both sides.
void make_scales(std::size_t buckets, std::vector<float>& alpha, std::vector<float>& beta) {
  RandomStream stream(9, StreamPurpose::initialization, buckets);
  for (std::size_t b = 0; b < buckets; ++b) {
    alpha.push_back(b % 7 == 3 ? 1e30f : b % 7 == 5 ? kTiny : stream.uniform() + 0.01f);
    beta.push_back(b % 3 == 0 ? -0.0f : stream.uniform() - 0.7f);
  }
}

TEST(Uniform, GivenScalesSaturate) {
  on_every_target([&] {
    for (int kind = 0; kind < kKinds; ++kind) {
      for (const int points : {2, 3, 7, 16, 255, 256}) {
        const std::vector<float> values = make_values(kind, 999);
        std::vector<float> alpha, beta;
        make_scales(buckets_of(999, 33), alpha, beta);
        UniformRun run{values.data(), 999, 33, points, points % 2 == 0, {5, 6}, 7, 8};
        run.alpha = alpha.data();
        run.beta = beta.data();
        SCOPED_TRACE(::testing::Message() << "kind " << kind << " points " << points);
        const Result want = by_reference(run);
        ASSERT_EQ(want.bad, -1);
        EXPECT_EQ(bits_of(want.alpha), bits_of(alpha));
        expect_equal(want, by_kernels(run, false));
      }
    }
    const std::vector<float> values = {-5, -0.1f, 0, 0.4f, 0.6f, 1, 1.1f, 5, kHuge, -kHuge};
    const float alpha = 1, beta = 0;
    UniformRun run{values.data(), 10, 10, 2};
    run.alpha = &alpha;
    run.beta = &beta;
    EXPECT_EQ(by_kernels(run, false).codes, (std::vector<uint8_t>{0, 0, 0, 0, 1, 1, 1, 1, 1, 0}));
  });
}

TEST(Uniform, GivenScalesThatAreNone) {
  const std::vector<float> values(40, 0.5f);
  const float inf = std::numeric_limits<float>::infinity();
  on_every_target([&] {
    for (const auto& [bad_alpha, bad_beta] : std::vector<std::pair<float, float>>{{0.0f, 0.0f},
                                                                                  {-1.0f, 0.0f},
                                                                                  {inf, 0.0f},
                                                                                  {inf - inf, 0.0f},
                                                                                  {1.0f, inf},
                                                                                  {1.0f, inf - inf},
                                                                                  {kHuge, kHuge}}) {
      std::vector<float> alpha(4, 1.0f), beta(4, 0.0f);
      alpha[2] = bad_alpha;
      beta[2] = bad_beta;
      UniformRun run{values.data(), 40, 10, 16};
      run.alpha = alpha.data();
      run.beta = beta.data();
      EXPECT_EQ(by_reference(run).bad, 2);
      expect_equal(by_reference(run), by_kernels(run, false));
    }
  });
}

TEST(Uniform, TheNearestPointAndTheFormula) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<float> values = make_values(0, 4097);
    const UniformRun run{values.data(), 4097, 100, 1 << bits};
    const Result r = by_kernels(run, false);
    const int last = (1 << bits) - 1;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double alpha = r.alpha[i / 100], beta = r.beta[i / 100];
      const double x = (values[i] - beta) / alpha;
      double smallest = 1;
      for (int j = 0; j <= last; ++j) smallest = std::min(smallest, std::abs(x - double(j) / last));
      ASSERT_LE(std::abs(x - double(r.codes[i]) / last), smallest + 4 * 0x1p-24) << i;
      const float point = static_cast<float>(r.codes[i]) / static_cast<float>(last);
      const volatile float product = point * r.alpha[i / 100];
      ASSERT_EQ(r.shadows[i], product + r.beta[i / 100]) << i;
    }
  }
}

TEST(Uniform, TiesGoToTheEvenCode) {
  const std::vector<float> values = {0, 0.5f, 1.5f, 2.5f, 3};
  std::vector<uint8_t> codes(5);
  float alpha = 0, beta = 0;
  ASSERT_EQ(encode_uniform({values.data(), 5, 5, 4}, codes.data(), &alpha, &beta), -1);
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0, 2, 2, 3}));
}

TEST(Uniform, NamesTheFirstBadBucket) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  on_every_target([&] {
    for (int64_t at = 0; at < 1000; at += 37) {
      for (const float evil : {inf, -inf, nan, -nan}) {
        std::vector<float> values = make_values(0, 1000);
        values[static_cast<std::size_t>(at)] = evil;
        values[999] = evil;
        const UniformRun run{values.data(), 1000, 100, 16};
        expect_equal(by_reference(run), by_kernels(run, false));
        EXPECT_EQ(by_kernels(run, false).bad, at / 100);
      }
    }
    std::vector<float> values(64, 0.5f);
    values[40] = kHuge;
    values[45] = -kHuge;
    EXPECT_EQ(by_kernels({values.data(), 64, 16, 16}, false).bad, 2);
    values[45] = 0;  // the range fits, although 24 such values overflow when added
    std::fill(values.begin() + 20, values.begin() + 44, kHuge);
    const UniformRun run{values.data(), 64, 64, 16};
    EXPECT_EQ(by_kernels(run, false).bad, -1);
    expect_equal(by_reference(run), by_kernels(run, false));
  });
}

TEST(Uniform, StochasticRoundingHasTheRightMeanAndVariance) {
  constexpr int kSteps = 4000, kCount = 37;
  const std::vector<float> values = make_values(0, kCount);
  for (const int bits : {1, 2, 4, 8}) {
    const double last = (1 << bits) - 1;
    std::vector<double> sum(kCount), squares(kCount);
    Result r;
    for (int step = 0; step < kSteps; ++step) {
      const auto key = stream_key(5, StreamPurpose::rounding);
      r = by_kernels(
          {values.data(), kCount, kCount, 1 << bits, true, key, static_cast<uint64_t>(step)},
          false);
      for (std::size_t i = 0; i < kCount; ++i) sum[i] += r.shadows[i];
      for (std::size_t i = 0; i < kCount; ++i) squares[i] += double(r.codes[i]) * r.codes[i];
    }
    double all_variance = 0, want_variance = 0, spread = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const double alpha = r.alpha[0], t = (values[i] - r.beta[0]) / alpha * last;
      const double frac = t - std::floor(t), variance = frac * (1 - frac);  // of the code
      const double mean = sum[i] / kSteps;
      EXPECT_NEAR(mean, values[i], 5 * std::sqrt(variance / kSteps) * alpha / last + 1e-6);
      const double code_mean = (mean - r.beta[0]) / alpha * last;
      all_variance += squares[i] / kSteps - code_mean * code_mean;
      want_variance += variance;
      spread += variance * (1 - 4 * variance) / kSteps + 2 * variance * variance / kSteps / kSteps;
    }
    // Of scaled values, both sides divided by (s-1)^2; a Bernoulli's squared deviation varies by
    // v (1 - 4 v).
    EXPECT_NEAR(all_variance, want_variance,
                5 * std::sqrt(spread) + want_variance / kSteps + 1e-4 * last)
        << bits;
  }
}

TEST(Uniform, StochasticRoundingDrawsTheNamedStream) {
  const std::vector<float> values = make_values(0, 301);
  RandomStream stream(42, StreamPurpose::rounding, 17);
  for (int i = 0; i < 6; ++i) stream.next();  // the run starts at flat index 6
  const auto key = stream_key(42, StreamPurpose::rounding);
  const Result r = by_kernels({values.data(), 301, 301, 8, true, key, 17, 6}, false);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scaled = (values[i] - r.beta[0]) / r.alpha[0] * 7;
    const float low = std::floor(scaled);
    EXPECT_EQ(r.codes[i], low + (stream.uniform() < scaled - low ? 1.0f : 0.0f)) << i;
  }
}

}  // namespace
}  // namespace bitstill
