// The LSQ kernels against the slow reference, the formula and finite differences.
#include <gtest/gtest.h>

#include <cmath>

#include "bitstill/quant/lsq_kernel.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

struct Result {
  int64_t bad = -1, bad_encode = -1;
  std::vector<float> shadows, gradients, step_gradients;
  std::vector<uint8_t> codes;
};

Result start(const LsqRun& run) {
  const auto count = static_cast<std::size_t>(run.count);
  Result r;
  r.shadows.assign(count, -77);
  r.codes.assign(count, 99);
  r.gradients = make_gradients(run.count);
  r.step_gradients.assign(buckets_of(run.count, run.bucket), -77);
  return r;
}

Result by_reference(const LsqRun& run) {
  Result r = start(run);
  r.bad = r.bad_encode = reference_lsq(run, r.shadows.data(), r.codes.data());
  if (r.bad < 0) reference_lsq_gradient(run, r.gradients.data(), r.step_gradients.data());
  return r;
}

Result by_kernels(const LsqRun& run, bool stream) {
  Result r = start(run);
  r.bad = quantize_lsq(run, stream, r.shadows.data());
  r.bad_encode = encode_lsq(run, r.codes.data());
  if (r.bad < 0) lsq_gradient(run, r.gradients.data(), r.step_gradients.data());
  return r;
}

void expect_equal(const Result& want, const Result& got) {
  ASSERT_EQ(want.bad, got.bad);
  ASSERT_EQ(want.bad_encode, got.bad_encode);
  if (want.bad >= 0) return;
  ASSERT_EQ(want.codes, got.codes);
  ASSERT_EQ(bits_of(want.shadows), bits_of(got.shadows));
  ASSERT_EQ(bits_of(want.gradients), bits_of(got.gradients));
  ASSERT_EQ(bits_of(want.step_gradients), bits_of(got.step_gradients));
}

/// Steps such that some values of [-1, 1] lie outside the clamp; a tiny and a large one.
std::vector<float> make_steps(std::size_t buckets, int bits) {
  std::vector<float> steps;
  for (std::size_t b = 0; b < buckets; ++b) {
    const float fair = 0.7f / static_cast<float>(1 << bits) * static_cast<float>(1 + b % 4);
    steps.push_back(b % 7 == 5 ? kTiny : b % 7 == 6 ? 1e30f : fair);
  }
  return steps;
}

TEST(Lsq, EveryTargetEqualsTheReference) {
  std::vector<int64_t> counts = odd_counts();
  for (const int64_t count : {8191, 8192, 12293}) counts.push_back(count);
  on_every_target([&] {
    for (const int64_t count : counts) {
      for (const int64_t bucket :
           {int64_t{1}, int64_t{3}, int64_t{16}, int64_t{100}, int64_t{256}, count}) {
        const int kind = static_cast<int>((count * 5 + bucket) % kKinds);
        const std::vector<float> values = make_values(kind, count);
        for (int bits = 2; bits <= 8; ++bits) {
          const std::vector<float> steps = make_steps(buckets_of(count, bucket), bits);
          SCOPED_TRACE(::testing::Message() << "count " << count << " bucket " << bucket << " bits "
                                            << bits << " kind " << kind);
          const LsqRun run{values.data(), count, bucket, bits, steps.data()};
          expect_equal(by_reference(run), by_kernels(run, bits % 2 == 0));
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  });
}

TEST(Lsq, TheFormulaAndTheCommonDecoder) {
  for (int bits = 2; bits <= 8; ++bits) {
    const std::vector<float> values = make_values(0, 1000), steps = make_steps(5, bits);
    const LsqRun run{values.data(), 1000, 200, bits, steps.data()};
    const Result r = by_kernels(run, false);
    const int qn = 1 << (bits - 1);
    std::vector<float> points, beta(5), decoded(1000);
    for (int level = -qn; level < qn; ++level) points.push_back(static_cast<float>(level));
    decode_run({r.codes.data(), 1000, 200, points.data(), steps.data(), beta.data()},
               decoded.data());
    EXPECT_EQ(bits_of(r.shadows), bits_of(decoded));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double step = steps[i / 200];
      const double level = std::clamp<double>(std::nearbyint(values[i] / step), -qn, qn - 1);
      ASSERT_LE(std::abs(values[i] - r.shadows[i]), std::abs(values[i] - level * step) + 1e-7);
    }
  }
}

TEST(Lsq, TiesGoToTheEvenLevelAndTheEdgesSaturate) {
  const std::vector<float> values = {-9, -2, -1.5f, -0.5f, -0.25f, 0.5f, 0.75f, 1, 9};
  const float step = 1;
  const LsqRun run{values.data(), 9, 9, 2, &step};  // levels -2 .. 1
  on_every_target([&] {
    const Result r = by_kernels(run, false);
    EXPECT_EQ(bits_of(r.shadows), bits_of({-2, -2, -2, 0, 0, 0, 1, 1, 1}));
    std::vector<float> gradients(9, 1);
    float step_gradient = 0;
    lsq_gradient(run, gradients.data(), &step_gradient);
    EXPECT_EQ(gradients, (std::vector<float>{0, 0, 1, 1, 1, 1, 1, 0, 0}));
    EXPECT_EQ(step_gradient, -2 - 2 - 0.5f + 0.5f + 0.25f - 0.5f + 0.25f + 1 + 1);
  });
}

TEST(Lsq, NamesTheFirstBadBucket) {
  const float inf = std::numeric_limits<float>::infinity();
  on_every_target([&] {
    for (const float evil : {inf, -inf, inf - inf}) {
      std::vector<float> values = make_values(0, 1000), steps(10, 0.1f);
      LsqRun run{values.data(), 1000, 100, 4, steps.data()};
      values[345] = values[999] = evil;
      EXPECT_EQ(by_kernels(run, false).bad, 3);
      expect_equal(by_reference(run), by_kernels(run, false));
      for (const float bad_step : {0.0f, -1.0f, evil, kHuge}) {  // 8 kHuge overflows
        steps[2] = bad_step;
        EXPECT_EQ(by_kernels(run, false).bad, 2);
        expect_equal(by_reference(run), by_kernels(run, false));
      }
    }
  });
}

TEST(Lsq, TheStepsGradientEqualsFiniteDifferencesWithRoundingHeld) {
  // Held: r, the rounding's error of values inside, and the level of those outside; so inside
  // w_q = w + d r, with t = w / d moving freely under the straight-through rule.
  constexpr int64_t kCount = 9001;
  const std::vector<float> values = make_values(0, kCount);
  for (int bits = 2; bits <= 8; ++bits) {
    const int qn = 1 << (bits - 1);
    const std::vector<float> steps = make_steps(2, bits);
    const LsqRun run{values.data(), kCount, 5000, bits, steps.data()};
    const Result r = by_kernels(run, false);
    const std::vector<float> gradients = make_gradients(kCount);
    for (int64_t b = 0; b < 2; ++b) {
      const double step = steps[static_cast<std::size_t>(b)];
      const auto loss = [&](double moved) {
        double sum = 0;
        for (int64_t i = b * 5000; i < std::min((b + 1) * 5000, kCount); ++i) {
          const auto at = static_cast<std::size_t>(i);
          const double t = values[at] / step;
          const double level = std::clamp<double>(std::nearbyint(t), -qn, qn - 1);
          const bool inside = t > -qn && t < qn - 1;
          sum += gradients[at] * (inside ? values[at] + moved * (level - t) : moved * level);
          EXPECT_EQ(r.gradients[at], inside ? gradients[at] : 0);
        }
        return sum;
      };
      const double want = (loss(step * 1.5) - loss(step * 0.5)) / step;
      EXPECT_NEAR(r.step_gradients[static_cast<std::size_t>(b)], want, 1e-4 * qn) << bits;
    }
  }
}

}  // namespace
}  // namespace bitstill
