// Every CUDA kernel against its CPU kernel: equal bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "cuda_cases.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

struct Outputs {
  Outputs(int64_t count, int64_t bucket)
      : shadows(static_cast<std::size_t>(count), -77.0f),
        codes(static_cast<std::size_t>(count), uint8_t{99}),
        alpha(buckets_of(count, bucket), -77.0f),
        beta(buckets_of(count, bucket), -77.0f),
        bad(1, ~uint64_t{0}) {}
  CudaOutputs pointers() {
    return {shadows.data(), codes.data(), alpha.data(), beta.data(), bad.data()};
  }
  int64_t first_bad() const { return static_cast<int64_t>(bad.values()[0]); }
  OnDevice<float> shadows;
  OnDevice<uint8_t> codes;
  OnDevice<float> alpha, beta;
  OnDevice<uint64_t> bad;
};

/// What the CPU's kernels make of the same.
struct Expected {
  Expected(int64_t count, int64_t bucket)
      : shadows(static_cast<std::size_t>(count)),
        alpha(buckets_of(count, bucket)),
        beta(alpha.size()),
        codes(shadows.size()) {}
  std::vector<float> shadows, alpha, beta;
  std::vector<uint8_t> codes;
  int64_t bad = -1;
};

void expect_equal(const Expected& want, const Outputs& got, bool scales) {
  ASSERT_EQ(want.bad, got.first_bad());
  if (want.bad >= 0) return;
  ASSERT_EQ(want.codes, got.codes.values());
  ASSERT_EQ(bits_of(want.shadows), bits_of(got.shadows.values()));
  if (!scales) return;
  ASSERT_EQ(bits_of(want.alpha), bits_of(got.alpha.values()));
  ASSERT_EQ(bits_of(want.beta), bits_of(got.beta.values()));
}

/// Calls check(masters, bucket) for all kinds of tensors, odd sizes, and short and long buckets.
template <class Check>
void for_cases(const Check& check) {
  const std::vector<std::pair<int64_t, int64_t>> sizes = {
      {1, 1},    {7, 3},       {31, 32},     {33, 256},     {257, 256},
      {1000, 7}, {2053, 2048}, {4099, 2049}, {9001, 20000}, {8500, 4100}};
  for (int kind = 0; kind < kKinds; ++kind) {
    for (const auto& [count, bucket] : sizes) {
      SCOPED_TRACE(concat("kind ", kind, ", ", count, " values in buckets of ", bucket));
      check(make_values(kind, count), bucket);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

int64_t size(const std::vector<float>& values) {
  return static_cast<int64_t>(values.size());
}

/// Ascending; some equal.
std::vector<float> make_points(int count) {
  std::vector<float> points;
  RandomStream stream(11, StreamPurpose::initialization, static_cast<uint64_t>(count));
  for (int j = 0; j < count; ++j) {
    const bool again = j > 0 && stream.below(5) == 0;
    points.push_back(again ? points.back() : stream.uniform() * 1.2f - 0.1f);
  }
  std::sort(points.begin(), points.end());
  return points;
}

void check_uniform(const std::vector<float>& masters, int64_t bucket, int points, bool stochastic,
                   const std::vector<float>& alpha = {}, const std::vector<float>& beta = {}) {
  UniformRun run{masters.data(), size(masters), bucket,          points,
                 stochastic,     {123, 456},    5'000'000'001ULL};
  run.first = 3;
  Expected want(run.count, bucket);
  if (!alpha.empty()) run.alpha = alpha.data();
  if (!alpha.empty()) run.beta = beta.data();
  want.bad = quantize_uniform(run, false, want.shadows.data());
  encode_uniform(run, want.codes.data(), want.alpha.data(), want.beta.data());

  OnDevice<float> from(masters), given_alpha(alpha), given_beta(beta);
  run.masters = from.data();
  if (!alpha.empty()) run.alpha = given_alpha.data();
  if (!alpha.empty()) run.beta = given_beta.data();
  Outputs got(run.count, bucket);
  cuda_quantize_uniform(run, got.pointers(), nullptr);
  expect_equal(want, got, true);
}

TEST_F(CudaTest, UniformEqualsCpu) {
  int bits = 0;
  for_cases([&](const std::vector<float>& masters, int64_t bucket) {
    bits = bits % 8 + 1;  // all of 1..8 with every kind
    check_uniform(masters, bucket, 1 << bits, false);
    check_uniform(masters, bucket, 1 << bits, true);
    check_uniform(masters, bucket, 3 + bits * 31, false);
  });
}

TEST_F(CudaTest, UniformWithGivenScalesEqualsCpu) {
  for_cases([&](const std::vector<float>& masters, int64_t bucket) {
    const std::size_t buckets = buckets_of(size(masters), bucket);
    std::vector<float> alpha, beta;
    for (std::size_t b = 0; b < buckets; ++b) alpha.push_back(0.1f + static_cast<float>(b % 7));
    for (std::size_t b = 0; b < buckets; ++b) beta.push_back(-0.2f * static_cast<float>(b % 5));
    check_uniform(masters, bucket, 16, false, alpha, beta);
  });
}

TEST_F(CudaTest, AllUniformPointsEqualCpu) {
  for (int points = 2; points <= 256; ++points) {
    std::vector<float> masters;
    for (int j = 0; j < points; ++j) masters.push_back(static_cast<float>(j));
    SCOPED_TRACE(points);
    ASSERT_NO_FATAL_FAILURE(check_uniform(masters, 256, points, false));
  }
}

TEST_F(CudaTest, PointsEqualCpu) {
  int count = 0;
  const std::vector<int> counts = {1, 2, 3, 4, 8, 15, 16, 17, 32, 64, 128, 255, 256};
  for_cases([&](const std::vector<float>& masters, int64_t bucket) {
    const std::vector<float> points =
        make_points(counts[static_cast<std::size_t>(count++) % counts.size()]);
    PointsRun run{masters.data(), size(masters), bucket, points.data(),
                  static_cast<int>(points.size())};
    Expected want(run.count, bucket);
    want.bad = quantize_points(run, false, want.shadows.data());
    encode_points(run, want.codes.data(), want.alpha.data(), want.beta.data());

    OnDevice<float> from(masters), table(points);
    run.masters = from.data();
    run.points = table.data();
    Outputs got(run.count, bucket);
    cuda_quantize_points(run, got.pointers(), nullptr);
    ASSERT_NO_FATAL_FAILURE(expect_equal(want, got, true));
    if (want.bad >= 0) return;
    OnDevice<float> decoded(masters.size(), -77);
    cuda_decode(
        {got.codes.data(), run.count, bucket, table.data(), got.alpha.data(), got.beta.data()},
        decoded.data(), nullptr);
    ASSERT_EQ(bits_of(want.shadows), bits_of(decoded.values()));
  });
}

TEST_F(CudaTest, PointsGradientEqualsCpu) {
  for (const auto& [count, bucket] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                              {33, 7},
                                                                              {4095, 256},
                                                                              {4097, 256},
                                                                              {8191, 256},
                                                                              {8192, 256},
                                                                              {20001, 100},
                                                                              {9001, 5000},
                                                                              {30001, 10000},
                                                                              {28193, 20000}}) {
    for (const int points : {2, 3, 16, 17, 256}) {
      SCOPED_TRACE(concat(count, " values in buckets of ", bucket, ", ", points, " points"));
      std::vector<uint8_t> codes;
      RandomStream stream(5, StreamPurpose::initialization, static_cast<uint64_t>(count));
      for (int64_t i = 0; i < count; ++i) {
        codes.push_back(static_cast<uint8_t>(stream.below(static_cast<uint64_t>(points))));
      }
      const std::vector<float> alpha =
          make_values(0, static_cast<int64_t>(buckets_of(count, bucket)));
      const std::vector<float> gradients = make_gradients(count);
      CodedRun run{codes.data(), count, bucket, nullptr, alpha.data(), nullptr};
      const int64_t blocks = gradient_blocks(count, bucket);
      std::vector<float> sums(static_cast<std::size_t>(blocks * points));
      std::vector<float> want(static_cast<std::size_t>(points));
      points_gradient(run, points, gradients.data(), sums.data());
      add_blocks(sums.data(), blocks, points, want.data());

      OnDevice<uint8_t> device_codes(codes);
      OnDevice<float> device_alpha(alpha), device_gradients(gradients), space(sums.size(), -77),
          got(want.size(), -77);
      run.codes = device_codes.data();
      run.alpha = device_alpha.data();
      cuda_points_gradient(run, points, device_gradients.data(), space.data(), got.data(), nullptr);
      ASSERT_EQ(bits_of(sums), bits_of(space.values()));
      ASSERT_EQ(bits_of(want), bits_of(got.values()));
    }
  }
}

std::vector<float> make_steps(int64_t count, int64_t bucket) {
  std::vector<float> steps;
  for (std::size_t b = 0; b < buckets_of(count, bucket); ++b) {
    steps.push_back(0.03125f * static_cast<float>(1 + b % 9));
  }
  return steps;
}

TEST_F(CudaTest, LsqEqualsCpu) {
  int bits = 1;
  for_cases([&](const std::vector<float>& masters, int64_t bucket) {
    bits = bits == 8 ? 2 : bits + 1;
    const std::vector<float> steps = make_steps(size(masters), bucket);
    LsqRun run{masters.data(), size(masters), bucket, bits, steps.data()};
    Expected want(run.count, bucket);
    want.bad = quantize_lsq(run, false, want.shadows.data());
    encode_lsq(run, want.codes.data());
    OnDevice<float> from(masters), device_steps(steps);
    run.masters = from.data();
    run.steps = device_steps.data();
    Outputs got(run.count, bucket);
    cuda_quantize_lsq(run, got.pointers(), nullptr);
    expect_equal(want, got, false);
  });
}

TEST_F(CudaTest, LsqGradientEqualsCpu) {
  for (const auto& [count, bucket] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                              {33, 7},
                                                                              {1000, 256},
                                                                              {5001, 4096},
                                                                              {15000, 10000},
                                                                              {18192, 10000},
                                                                              {20001, 20001},
                                                                              {28193, 20000}}) {
    for (int bits = 2; bits <= 8; ++bits) {
      SCOPED_TRACE(concat(count, " values in buckets of ", bucket, ", bits ", bits));
      std::vector<float> masters = make_values(bits % 2 == 0 ? 0 : 6, count);
      const std::vector<float> steps = make_steps(count, bucket);
      for (std::size_t i = 0; i < masters.size(); i += 3) {  // on levels, the outermost among them
        const auto levels = static_cast<float>(i % (std::size_t{2} << bits));
        masters[i] = (levels - std::exp2f(static_cast<float>(bits))) *
                     steps[i / static_cast<std::size_t>(bucket)];
      }
      std::vector<float> want = make_gradients(count), want_steps(steps.size());
      OnDevice<float> from(masters), device_steps(steps), got(want), got_steps(steps.size(), -77),
          space(static_cast<std::size_t>(lsq_sums(count, bucket)), -77);
      lsq_gradient({masters.data(), count, bucket, bits, steps.data()}, want.data(),
                   want_steps.data());
      cuda_lsq_gradient({from.data(), count, bucket, bits, device_steps.data()}, got.data(),
                        space.data(), got_steps.data(), nullptr);
      ASSERT_EQ(bits_of(want), bits_of(got.values()));
      ASSERT_EQ(bits_of(want_steps), bits_of(got_steps.values()));
    }
  }
}

/// Bad values and scales in bucket 2 of 5, and nowhere else.
TEST_F(CudaTest, FirstBadBucketIsReported) {
  for (const int64_t bucket : {int64_t{100}, int64_t{3000}}) {
    for (const float bad : {INFINITY, -INFINITY, NAN, -kHuge}) {
      std::vector<float> masters = make_values(6, 4 * bucket + 1);
      masters[static_cast<std::size_t>(2 * bucket)] = kHuge;  // with -kHuge the range overflows
      masters[static_cast<std::size_t>(3 * bucket - 1)] = bad;
      masters.back() = NAN;
      const std::vector<float> points = {0, 1};
      OnDevice<float> from(masters), table(points), steps(5, 0.1f);
      Outputs uniform(size(masters), bucket), given(size(masters), bucket),
          lsq(size(masters), bucket);
      UniformRun run;
      run.masters = from.data();
      run.count = size(masters);
      run.bucket = bucket;
      cuda_quantize_uniform(run, uniform.pointers(), nullptr);
      cuda_quantize_points({from.data(), run.count, bucket, table.data(), 2}, given.pointers(),
                           nullptr);
      cuda_quantize_lsq({from.data(), run.count, bucket, 4, steps.data()}, lsq.pointers(), nullptr);
      EXPECT_EQ(uniform.first_bad(), 2);
      EXPECT_EQ(given.first_bad(), 2);
      EXPECT_EQ(lsq.first_bad(), std::isfinite(bad) ? 4 : 2);
    }
  }
}

TEST_F(CudaTest, TooManyBlocksAreAnError) {
  LsqRun run;
  run.count = int64_t{1} << 43;
  try {
    cuda_quantize_lsq(run, {}, nullptr);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::environment);
    EXPECT_NE(std::string(error.what()).find("quant.bucket"), std::string::npos) << error.what();
  }
}

#ifndef BITSTILL_EMULATED_GPU
TEST(WithoutCuda, KernelsSayWhatIsMissing) {
  if (has_cuda_kernels()) GTEST_SKIP() << "SKIP: built with CUDA";
  try {
    cuda_quantize_uniform({}, {}, nullptr);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::environment);
    EXPECT_NE(std::string(error.what()).find("preset gpu"), std::string::npos) << error.what();
  }
}
#endif

}  // namespace
}  // namespace bitstill
