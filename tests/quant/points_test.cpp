// The kernels for given points against the slow reference and the definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bitstill/quant/master_gradient.hpp"
#include "bitstill/quant/points_kernel.hpp"
#include "kernel_cases.hpp"

namespace bitstill {
namespace {

struct Result {
  std::vector<float> shadows, alpha, beta, decoded;
  std::vector<uint8_t> codes;
  int64_t bad = -1, bad_encode = -1;
};

Result empty_result(const PointsRun& run) {
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

Result by_reference(const PointsRun& run) {
  Result r = empty_result(run);
  r.bad = r.bad_encode =
      reference_points(run, r.shadows.data(), r.codes.data(), r.alpha.data(), r.beta.data());
  r.decoded = r.shadows;
  return r;
}

CodedRun coded(const PointsRun& run, const Result& r) {
  return {r.codes.data(), run.count, run.bucket, run.points, r.alpha.data(), r.beta.data()};
}

Result by_kernels(const PointsRun& run, bool stream) {
  Result r = empty_result(run);
  r.bad = quantize_points(run, stream, r.shadows.data());
  r.bad_encode = encode_points(run, r.codes.data(), r.alpha.data(), r.beta.data());
  if (r.bad_encode < 0) decode_run(coded(run, r), r.decoded.data());
  return r;
}

void expect_equal(const Result& want, const Result& got) {
  ASSERT_EQ(want.bad, got.bad);
  ASSERT_EQ(want.bad_encode, got.bad_encode);
  if (want.bad >= 0) return;
  ASSERT_EQ(want.codes, got.codes);
  ASSERT_EQ(bits_of(want.alpha), bits_of(got.alpha));
  ASSERT_EQ(bits_of(want.beta), bits_of(got.beta));
  ASSERT_EQ(bits_of(want.shadows), bits_of(got.shadows));
  ASSERT_EQ(bits_of(want.shadows), bits_of(got.decoded));
}

/// Kinds of points: random in [0, 1], many equal, all equal, uniform (so ties with values of kind
/// 7), beyond [0, 1], far apart, neighbouring floats.
constexpr int kPointKinds = 7, kFarApart = 5;
std::vector<float> make_points(int kind, int count) {
  RandomStream stream(11, StreamPurpose::initialization, static_cast<uint64_t>(kind),
                      static_cast<uint32_t>(count));
  std::vector<float> points;
  for (int j = 0; j < count; ++j) {
    const float u = stream.uniform();
    switch (kind) {
      case 0:
        points.push_back(u);
        break;
      case 1:
        points.push_back(static_cast<float>(stream.below(5)) / 4);
        break;
      case 2:
        points.push_back(0.25f);
        break;
      case 3:
        points.push_back(static_cast<float>(j) / static_cast<float>(std::max(count - 1, 1)));
        break;
      case 4:
        points.push_back(u * 3 - 1);
        break;
      case 5:
        points.push_back((u - 0.5f) * std::exp2(-100 * stream.uniform()));
        break;
      default:
        points.push_back(std::bit_cast<float>(std::bit_cast<uint32_t>(0.5f) + uint32_t(j)));
        break;
    }
  }
  if (kind == 1 && count > 1) points[1] = -0.0f;  // equal to a +0
  std::stable_sort(points.begin(), points.end());
  return points;
}

const std::vector<int> kCounts = {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 255, 256};

TEST(Points, EveryTargetEqualsTheReference) {
  on_every_target([&] {
    for (const int64_t count : odd_counts()) {
      for (const int64_t bucket : {int64_t{1}, int64_t{3}, int64_t{16}, int64_t{100}, int64_t{256},
                                   int64_t{1000}, count}) {
        const int kind = static_cast<int>((count * 5 + bucket) % kKinds);
        const std::vector<float> values = make_values(kind, count);
        for (std::size_t n = static_cast<std::size_t>(count) % 3; n < kCounts.size(); n += 3) {
          const int point_kind =
              static_cast<int>((static_cast<std::size_t>(bucket) + n) % kPointKinds);
          const std::vector<float> points = make_points(point_kind, kCounts[n]);
          const PointsRun run{values.data(), count, bucket, points.data(), kCounts[n]};
          SCOPED_TRACE(::testing::Message()
                       << "count " << count << " bucket " << bucket << " points " << kCounts[n]
                       << " kinds " << kind << " " << point_kind);
          expect_equal(by_reference(run), by_kernels(run, n % 2 == 0));
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  });
}

TEST(Points, EveryKindAtEveryAlignment) {
  on_every_target([&] {
    for (int kind = 0; kind < kKinds; ++kind) {
      for (int point_kind = 0; point_kind < kPointKinds; ++point_kind) {
        const std::vector<float> values = make_values(kind, 800);
        const std::vector<float> points = make_points(point_kind, 7 + 43 * (kind % 3));
        const PointsRun run{values.data() + point_kind, 777, 256, points.data(),
                            static_cast<int>(points.size())};
        SCOPED_TRACE(::testing::Message() << "kinds " << kind << " " << point_kind);
        expect_equal(by_reference(run), by_kernels(run, kind % 2 == 0));
      }
    }
  });
}

/// The search by cells depends on where in [0, 1] the thresholds lie: values at and beside each.
TEST(Points, ValuesBesideEveryThreshold) {
  on_every_target([&] {
    for (int count = 1; count <= 16; ++count) {
      for (int n = 0; n < 40 * kPointKinds; ++n) {
        std::vector<float> points = make_points(n % kPointKinds, count);
        // Moved and stretched, so that thresholds pass the ends of cells.
        for (float& point : points) point = point * (1 + 0.01f * float(n)) - 0.003f * float(n);
        std::vector<float> values = {0, 1};  // alpha 1, beta 0: x = v
        for (std::size_t j = 1; j < points.size(); ++j) {
          const float middle = (points[j - 1] + points[j]) / 2;
          if (!(middle > 0 && middle < 1)) continue;
          for (const float to : {0.0f, middle, 1.0f}) values.push_back(std::nextafter(middle, to));
        }
        for (int k = 0; k <= 30; ++k) values.push_back(static_cast<float>(k) / 30);
        values.resize((values.size() + 63) / 64 * 64, 0.5f);
        const auto size = static_cast<int64_t>(values.size());
        const PointsRun run{values.data(), size, size, points.data(), count};
        expect_equal(by_reference(run), by_kernels(run, false));
        if (::testing::Test::HasFailure()) return;
      }
    }
  });
}

TEST(Points, GivenScales) {
  on_every_target([&] {
    for (const int count : kCounts) {
      const std::vector<float> values = make_values(0, 999), points = make_points(4, count);
      RandomStream stream(9, StreamPurpose::initialization);
      std::vector<float> alpha, beta;
      for (std::size_t b = 0; b < buckets_of(999, 33); ++b) {
        alpha.push_back(b % 7 == 3 ? 1e30f : b % 7 == 5 ? kTiny : stream.uniform() + 0.01f);
        beta.push_back(b % 3 == 0 ? -0.0f : stream.uniform() - 0.7f);
      }
      PointsRun run{values.data(), 999, 33, points.data(), count, alpha.data(), beta.data()};
      const Result want = by_reference(run);
      ASSERT_EQ(want.bad, -1);
      EXPECT_EQ(bits_of(want.alpha), bits_of(alpha));
      expect_equal(want, by_kernels(run, false));
      alpha[11] = 0;
      expect_equal(by_reference(run), by_kernels(run, false));
      EXPECT_EQ(by_kernels(run, false).bad, 11);
      if (points.back() < 0.1f) continue;
      alpha[11] = beta[11] = kHuge;
      EXPECT_EQ(by_kernels(run, false).bad, 11);
    }
  });
}

TEST(Points, TheNearestPointAndTheFormula) {
  for (int point_kind = 0; point_kind < kPointKinds; ++point_kind) {
    for (const int count : kCounts) {
      const std::vector<float> values = make_values(count % 2 == 0 ? 0 : 7, 4097);
      const std::vector<float> points = make_points(point_kind, count);
      const PointsRun run{values.data(), 4097, 100, points.data(), count};
      const Result r = by_kernels(run, false);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float alpha = r.alpha[i / 100], beta = r.beta[i / 100];
        const double exact = (static_cast<double>(values[i]) - beta) / alpha;
        const float x = (values[i] - beta) / alpha;
        int nearest = 0;  // of x, the lowest; in double, exact unless points are far apart
        double smallest = 4;
        for (int j = 0; j < count; ++j) {
          const double distance = std::abs(static_cast<double>(x) - points[std::size_t(j)]);
          if (distance < std::abs(static_cast<double>(x) - points[std::size_t(nearest)]))
            nearest = j;
          smallest = std::min(smallest, std::abs(exact - points[std::size_t(j)]));
        }
        if (point_kind != kFarApart) {
          ASSERT_EQ(int{r.codes[i]}, nearest) << "kind " << point_kind << " count " << count;
        }
        ASSERT_LE(std::abs(exact - points[r.codes[i]]), smallest + 4 * 0x1p-24);
        const volatile float product = points[r.codes[i]] * alpha;
        ASSERT_EQ(r.shadows[i], product + beta) << i;
      }
    }
  }
}

TEST(Points, TiesAndEqualPointsGoToTheLowerIndex) {
  const std::vector<float> values = {0, 0.25f, 0.375f, 0.5f, 0.75f, 0.8f, 1};
  const std::vector<float> points = {0, 0.5f, 0.5f, 1, 1};
  on_every_target([&] {
    std::vector<uint8_t> codes(7);
    float alpha = 0, beta = 0;
    ASSERT_EQ(encode_points({values.data(), 7, 7, points.data(), 5}, codes.data(), &alpha, &beta),
              -1);
    EXPECT_EQ(codes, (std::vector<uint8_t>{0, 0, 1, 1, 1, 3, 3}));
  });
}

TEST(Points, NamesTheFirstBadBucket) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> points = make_points(0, 16);
  on_every_target([&] {
    for (int64_t at = 0; at < 1000; at += 37) {
      for (const float evil : {inf, -inf, inf - inf}) {
        std::vector<float> values = make_values(0, 1000);
        values[static_cast<std::size_t>(at)] = evil;
        values[999] = evil;
        const PointsRun run{values.data(), 1000, 100, points.data(), 16};
        expect_equal(by_reference(run), by_kernels(run, false));
        EXPECT_EQ(by_kernels(run, false).bad, at / 100);
        std::vector<float> sums(16);
        EXPECT_EQ(points_gradient(run, values.data(), sums.data()), at / 100);
      }
    }
    std::vector<float> values(64, 0.5f);
    values[40] = kHuge;
    values[45] = -kHuge;
    EXPECT_EQ(by_kernels({values.data(), 64, 16, points.data(), 16}, false).bad, 2);
    values[45] = -1;
    const std::vector<float> wide = {0, 2};  // twice the range overflows
    EXPECT_EQ(by_kernels({values.data(), 64, 16, wide.data(), 2}, false).bad, 2);
  });
}

std::vector<float> sums_by_reference(const PointsRun& run, const Result& r,
                                     const float* gradients) {
  std::vector<float> sums(static_cast<std::size_t>(gradient_blocks(run.count, run.bucket)) *
                          static_cast<std::size_t>(run.point_count));
  reference_points_gradient(coded(run, r), run.point_count, gradients, sums.data());
  return sums;
}

TEST(PointsGradient, EveryTargetEqualsTheReference) {
  std::vector<int64_t> counts = odd_counts();
  for (const int64_t count : {4096, 8191, 8192, 12293, 20000}) counts.push_back(count);
  on_every_target([&] {
    for (const int64_t count : counts) {
      for (const int64_t bucket :
           {int64_t{1}, int64_t{7}, int64_t{256}, int64_t{1000}, int64_t{5000}, count}) {
        const std::vector<float> values = make_values(static_cast<int>(count % 2) * 6, count);
        const std::vector<float> gradients = make_gradients(count);
        for (std::size_t n = static_cast<std::size_t>(count + bucket) % 4; n < kCounts.size();
             n += 4) {
          const std::vector<float> points =
              make_points(static_cast<int>(n) % kPointKinds, kCounts[n]);
          const PointsRun run{values.data(), count, bucket, points.data(), kCounts[n]};
          SCOPED_TRACE(::testing::Message()
                       << "count " << count << " bucket " << bucket << " points " << kCounts[n]);
          const Result r = by_reference(run);
          const std::vector<float> want = sums_by_reference(run, r, gradients.data());
          std::vector<float> sums(want.size(), -77), coded_sums(want.size(), -77);
          ASSERT_EQ(points_gradient(run, gradients.data(), sums.data()), -1);
          points_gradient(coded(run, r), run.point_count, gradients.data(), coded_sums.data());
          ASSERT_EQ(bits_of(want), bits_of(sums));
          ASSERT_EQ(bits_of(want), bits_of(coded_sums));
          // With the masters' gradients clipped in place.
          std::vector<float> clipped = gradients, in_place = gradients;
          clipped_gradient(coded(run, r), run.point_count, values.data(), clipped.data());
          std::fill(sums.begin(), sums.end(), -77.0f);
          ASSERT_EQ(points_gradient(run, in_place.data(), sums.data(), in_place.data()), -1);
          ASSERT_EQ(bits_of(want), bits_of(sums));
          ASSERT_EQ(bits_of(clipped), bits_of(in_place));
        }
      }
    }
  });
}

TEST(PointsGradient, RunsCutAtPiecesGiveTheSameBlocks) {
  for (const int64_t bucket : {100, 256, 5000}) {
    const int64_t count = 30001, cut = gradient_piece(bucket) * 2;
    const std::vector<float> values = make_values(0, count), gradients = make_gradients(count);
    const std::vector<float> points = make_points(0, 16);
    const PointsRun run{values.data(), count, bucket, points.data(), 16};
    const std::vector<float> want = sums_by_reference(run, by_reference(run), gradients.data());
    std::vector<float> sums(want.size());
    PointsRun first = run, rest = run;
    first.count = cut;
    rest.masters += cut;
    rest.count -= cut;
    const int64_t blocks = gradient_blocks(cut, bucket);
    EXPECT_EQ(gradient_blocks(count, bucket), blocks + gradient_blocks(count - cut, bucket));
    points_gradient(first, gradients.data(), sums.data());
    points_gradient(rest, gradients.data() + cut, sums.data() + blocks * 16);
    EXPECT_EQ(bits_of(want), bits_of(sums));
  }
}

TEST(PointsGradient, EqualsFiniteDifferencesWithAssignmentsHeld) {
  constexpr int64_t kCount = 9001;
  const std::vector<float> values = make_values(0, kCount), gradients = make_gradients(kCount);
  for (const int count : {1, 4, 16, 100}) {
    const std::vector<float> points = make_points(0, count);
    const PointsRun run{values.data(), kCount, 100, points.data(), count};
    const Result r = by_kernels(run, false);
    std::vector<float> sums(sums_by_reference(run, r, gradients.data()).size());
    std::vector<float> gradient(points.size());
    ASSERT_EQ(points_gradient(run, gradients.data(), sums.data()), -1);
    add_blocks(sums.data(), gradient_blocks(kCount, 100), count, gradient.data());
    for (int j = 0; j < count; ++j) {
      // The loss sum_i g_i w_i, whose gradient at the shadows is g; linear in p_j.
      const auto loss = [&](double move) {
        double sum = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
          const double point = points[r.codes[i]] + (r.codes[i] == j ? move : 0);
          sum += gradients[i] * (point * r.alpha[i / 100] + r.beta[i / 100]);
        }
        return sum;
      };
      const double want = (loss(0.5) - loss(-0.5));
      EXPECT_NEAR(gradient[static_cast<std::size_t>(j)], want, 2e-4) << j << " of " << count;
    }
  }
}

}  // namespace
}  // namespace bitstill
