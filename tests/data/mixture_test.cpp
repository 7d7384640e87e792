#include "bitstill/data/mixture.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "data_fixture.hpp"

namespace bitstill {
namespace {

const ImageShape kShape{3, 29, 27};
constexpr int64_t kArea = 29 * 27, kPixels = 3 * kArea;

/// Rows first, first + 1, ...; each row's label is its number.
Batch batch_of(int64_t first, int64_t count, const ImageShape& shape = kShape) {
  Batch batch;
  for (int64_t row = first; row < first + count; ++row) batch.rows.push_back(row);
  batch.labels = batch.rows;
  batch.pixels = random_bytes(static_cast<std::size_t>(count * shape.pixels()), 3);
  return batch;
}

Batch mixed(const MixOptions& options, Batch batch, uint64_t seed, int64_t epoch,
            int64_t threads = 1) {
  mix_rows(kShape, options, seed, epoch, threads, &batch);
  return batch;
}

TEST(Mixture, BlendsEachPictureWithTheOneBeforeIt) {
  const Batch before = batch_of(40, 5);
  double least = 1, most = 0;
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    const Batch after = mixed({1, 0}, before, 7, epoch);
    EXPECT_EQ(after.labels, before.labels);
    EXPECT_EQ(after.partners, (std::vector<int64_t>{44, 40, 41, 42, 43}));
    ASSERT_EQ(after.pixels.size(), before.pixels.size());
    for (std::size_t i = 0; i < after.pixels.size(); ++i) {
      const std::size_t partner = (i + 4 * kPixels) % (5 * kPixels);
      const double exact =
          after.share * before.pixels[i] + (1 - after.share) * before.pixels[partner];
      ASSERT_LE(std::abs(after.pixels[i] - exact), 0.5) << after.share;
    }
    least = std::min(least, after.share);
    most = std::max(most, after.share);
  }
  EXPECT_LT(least, 0.1);
  EXPECT_GT(most, 0.9);
}

TEST(Mixture, LaysInARectangleWhoseAreaIsThePartnersShare) {
  const Batch before = batch_of(40, 5);
  int laid = 0;
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    const Batch after = mixed({0, 1}, before, 7, epoch);
    EXPECT_EQ(after.partners, (std::vector<int64_t>{44, 40, 41, 42, 43}));
    // The same rectangle in every picture and channel.
    std::vector<int64_t> of;
    for (int64_t i = 0; i < kArea; ++i) {
      int foreign = 0;
      for (int64_t plane = 0; plane < 15; ++plane) {
        const auto at = static_cast<std::size_t>(plane * kArea + i);
        const std::size_t partner = (at + 4 * kPixels) % (5 * kPixels);
        const bool own = after.pixels[at] == before.pixels[at];
        ASSERT_TRUE(own || after.pixels[at] == before.pixels[partner]);
        foreign += own ? 0 : 1;
      }
      ASSERT_TRUE(foreign == 0 || foreign > 10) << foreign;  // some bytes are equal by chance
      if (foreign > 0) of.push_back(i);
    }
    ASSERT_NEAR(static_cast<double>(of.size()), (1 - after.share) * kArea, 1e-9);
    if (of.empty()) continue;
    ++laid;
    int64_t left = 27, right = 0;
    for (const int64_t i : of) left = std::min(left, i % 27), right = std::max(right, i % 27);
    const int64_t rows = of.back() / 27 - of[0] / 27 + 1;
    ASSERT_EQ(rows * (right - left + 1), static_cast<int64_t>(of.size()));
  }
  EXPECT_GT(laid, 25);
}

/// The largest distance of the shares' distribution from `probability`, in units in which 1.95 is
/// passed once in a thousand times (Kolmogorov and Smirnov).
double distance(std::vector<double> shares, const std::function<double(double)>& probability) {
  std::sort(shares.begin(), shares.end());
  const auto count = static_cast<double>(shares.size());
  double largest = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double expected = probability(shares[i]);
    largest = std::max({largest, std::abs(static_cast<double>(i) / count - expected),
                        std::abs(static_cast<double>(i + 1) / count - expected)});
  }
  return largest * std::sqrt(count);
}

std::vector<double> shares(double alpha) {
  std::vector<double> drawn;
  for (int64_t epoch = 0; epoch < 4000; ++epoch) {
    Batch batch = batch_of(3, 1, {1, 1, 1});
    mix_rows({1, 1, 1}, {alpha, 0}, 11, epoch, 1, &batch);
    drawn.push_back(batch.share);
  }
  return drawn;
}

TEST(Mixture, SharesAreBetas) {
  const auto uniform = [](double x) { return x; };
  const auto arcsine = [](double x) { return 2 / std::numbers::pi * std::asin(std::sqrt(x)); };
  const auto parabola = [](double x) { return x * x * (3 - 2 * x); };
  EXPECT_LT(distance(shares(1), uniform), 1.95);
  EXPECT_LT(distance(shares(0.5), arcsine), 1.95);
  EXPECT_LT(distance(shares(2), parabola), 1.95);
  EXPECT_GT(distance(shares(2), uniform), 3);
  for (const double alpha : {0.001, 0.2, 50.0}) {
    double mean = 0, variance = 0;
    for (const double share : shares(alpha)) {
      ASSERT_TRUE(share >= 0 && share <= 1);
      mean += share / 4000;
      variance += (share - 0.5) * (share - 0.5) / 4000;
    }
    const double expected = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(mean, 0.5, 4 * std::sqrt(expected / 4000));
    EXPECT_NEAR(variance, expected, 0.1 * expected);
  }
}

TEST(Mixture, WithBothAMicroBatchHasOneOfThem) {
  const Batch before = batch_of(0, 4);
  int blended = 0;
  for (int64_t epoch = 0; epoch < 400; ++epoch) {
    const Batch after = mixed({1, 1}, before, 5, epoch);
    const Batch blend = mixed({1, 0}, before, 5, epoch), laid = mixed({0, 1}, before, 5, epoch);
    if (blend.share > 0.99 && laid.share == 1) continue;  // hardly mixed: both may change nothing
    ASSERT_NE(blend.pixels, laid.pixels);
    blended += after.pixels == blend.pixels ? 1 : 0;
    const Batch& as = after.pixels == blend.pixels ? blend : laid;
    ASSERT_EQ(after.pixels, as.pixels);
    ASSERT_EQ(after.share, as.share);
  }
  EXPECT_NEAR(blended, 200, 40);
}

TEST(Mixture, IsAFunctionOfSeedEpochAndRows) {
  const Batch before = batch_of(10, 6);
  for (const MixOptions& options : {MixOptions{0.7, 0}, {0, 0.7}, {0.7, 0.7}}) {
    const Batch after = mixed(options, before, 1, 2);
    EXPECT_EQ(mixed(options, before, 1, 2).pixels, after.pixels);
    EXPECT_EQ(mixed(options, before, 1, 2, 3).pixels, after.pixels);
    std::set<double> by_seed, by_epoch, by_row;
    for (int64_t i = 0; i < 20; ++i) {
      by_seed.insert(mixed(options, before, static_cast<uint64_t>(i), 2).share);
      by_epoch.insert(mixed(options, before, 1, i).share);
      by_row.insert(mixed(options, batch_of(i, 6), 1, 2).share);
    }
    EXPECT_GT(std::min({by_seed.size(), by_epoch.size(), by_row.size()}), 12U);
  }
}

TEST(Mixture, OneRowOrNone) {
  for (const MixOptions& options : {MixOptions{1, 0}, {0, 1}}) {
    const Batch one = batch_of(5, 1);
    const Batch after = mixed(options, one, 1, 2);
    EXPECT_EQ(after.pixels, one.pixels);
    EXPECT_EQ(after.partners, one.labels);
    EXPECT_TRUE(mixed(options, batch_of(5, 0), 1, 2).partners.empty());
  }
}

TEST(Mixture, OptionsAreChecked) {
  check(MixOptions{0, 0});
  check(MixOptions{0.001, 1000});
  const auto refused = [](const MixOptions& options, const char* name) {
    EXPECT_HOLDS(error_of(ExitCode::settings, [&] { check(options); }), name);
  };
  refused({-1, 0}, "data.mixup = -1");
  refused({NAN, 0}, "data.mixup");
  refused({0, 1e-4}, "data.cutmix");
  refused({0, INFINITY}, "data.cutmix");
  EXPECT_FALSE(mixes({}));
  EXPECT_TRUE(mixes({1, 0}) && mixes({0, 1}));
}

}  // namespace
}  // namespace bitstill
