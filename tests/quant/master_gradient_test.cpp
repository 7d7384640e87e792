// Gradients of the masters: truncated and range, against finite differences.
#include "bitstill/quant/master_gradient.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bitstill/quant/points_kernel.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

TEST(TruncatedGradient, IsZeroOutside) {
  const std::vector<float> masters = {-2, -1.0000001f, -1, 0.5f, 1, 1.0000001f, kHuge};
  std::vector<float> clamped(7), gradients(7, 3);
  truncate_masters(masters.data(), 7, clamped.data());
  truncated_gradient(masters.data(), 7, gradients.data());
  EXPECT_EQ(clamped, (std::vector<float>{-1, -1, -1, 0.5f, 1, 1, 1}));
  EXPECT_EQ(gradients, (std::vector<float>{0, 0, 3, 3, 3, 0, 0}));
  for (const float w : {-2.0f, -0.75f, 0.25f, 1.5f}) {  // differences of the clamp itself
    float low = w - 0.125f, high = w + 0.125f, gradient = 3;
    truncate_masters(&low, 1, &low);
    truncate_masters(&high, 1, &high);
    truncated_gradient(&w, 1, &gradient);
    EXPECT_EQ(gradient, 3 * (high - low) / 0.25f);
  }
}

TEST(ClippedGradient, IsZeroBeyondTheOutermostPointsOfABucket) {
  // Two buckets of one range each: shadows of the outermost points at 1 and 3, at -0.75 and 0.25.
  const std::vector<float> points = {0.25f, 0.5f, 0.75f}, alpha = {4, 2}, beta = {0, -1.25f};
  const std::vector<float> masters = {0, 0.99f, 1, 2, 3, 3.01f, 4, -1.25f, -0.75f, 0.25f, 0.75f};
  std::vector<float> gradients(masters.size(), -3);
  clipped_gradient({nullptr, 11, 7, points.data(), alpha.data(), beta.data()}, 3, masters.data(),
                   gradients.data());
  EXPECT_EQ(gradients, (std::vector<float>{0, 0, -3, -3, -3, 0, 0, 0, -3, -3, 0}));
}

/// v + alpha(v) r of one bucket with r held, times g.
double held_loss(const std::vector<double>& v, const std::vector<double>& r,
                 const std::vector<float>& g) {
  const double alpha =
      *std::max_element(v.begin(), v.end()) - *std::min_element(v.begin(), v.end());
  double loss = 0;
  for (std::size_t i = 0; i < v.size(); ++i) loss += g[i] * (v[i] + alpha * r[i]);
  return loss;
}

TEST(RangeGradient, EqualsFiniteDifferencesWithTheErrorHeld) {
  constexpr int64_t kCount = 333, kBucket = 100;
  const std::vector<float> points = {0, 0.2f, 0.45f, 0.9f};
  const std::vector<float> values = make_values(0, kCount), gradients = make_gradients(kCount);
  const std::size_t buckets = buckets_of(kCount, kBucket);
  std::vector<float> alpha(buckets), beta(buckets), result = gradients;
  std::vector<uint8_t> codes(values.size());
  ASSERT_EQ(encode_points({values.data(), kCount, kBucket, points.data(), 4}, codes.data(),
                          alpha.data(), beta.data()),
            -1);
  range_gradient({codes.data(), kCount, kBucket, points.data(), alpha.data(), beta.data()},
                 values.data(), result.data());
  for (std::size_t b = 0; b < buckets; ++b) {
    const std::size_t begin = b * kBucket;
    const std::size_t end = std::min<std::size_t>(begin + kBucket, kCount);
    const std::vector<double> v(values.begin() + static_cast<int64_t>(begin),
                                values.begin() + static_cast<int64_t>(end));
    const std::vector<float> g(gradients.begin() + static_cast<int64_t>(begin),
                               gradients.begin() + static_cast<int64_t>(end));
    std::vector<double> r;
    for (std::size_t i = begin; i < end; ++i) {
      r.push_back(points[codes[i]] - (static_cast<double>(values[i]) - beta[b]) / alpha[b]);
    }
    for (std::size_t i = 0; i < v.size(); ++i) {
      constexpr double kMove = 1e-6;  // smaller than the distance to another extreme
      std::vector<double> low = v, high = v;
      low[i] -= kMove;
      high[i] += kMove;
      const double want = (held_loss(high, r, g) - held_loss(low, r, g)) / (2 * kMove);
      EXPECT_NEAR(result[begin + i], want, 1e-5) << begin + i;
    }
  }
}

TEST(RangeGradient, TakesTheFirstExtremesAndSparesConstantBuckets) {
  const std::vector<float> points = {0, 1};
  const std::vector<float> values = {0.3f, 1, 0, 1, 0, 7, 7, 7, 7, 7};
  const std::vector<float> g(10, 2);
  std::vector<float> alpha(2), beta(2), result = g;
  std::vector<uint8_t> codes(10);
  ASSERT_EQ(encode_points({values.data(), 10, 5, points.data(), 2}, codes.data(), alpha.data(),
                          beta.data()),
            -1);
  range_gradient({codes.data(), 10, 5, points.data(), alpha.data(), beta.data()}, values.data(),
                 result.data());
  const float c = 2 * (0 - 0.3f);
  EXPECT_EQ(result, (std::vector<float>{2, 2 + c, 2 - c, 2, 2, 2, 2, 2, 2, 2}));
}

}  // namespace
}  // namespace bitstill
