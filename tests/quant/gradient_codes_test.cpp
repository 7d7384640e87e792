// The gradients' codes against the slow reference, on every instruction set here, and their
// promises: no bias, a bound on each error, nothing that is not finite is lost.
#include "bitstill/quant/gradient_codes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernel_cases.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBucket = 128;

RoundingStream stream_of(uint64_t seed, uint64_t first = 0) {
  return {stream_key(seed, StreamPurpose::exchange), seed << 33 | 5, first};
}

std::vector<uint8_t> encoded(const std::vector<float>& values, const RoundingStream& stream) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<uint8_t> coded(static_cast<std::size_t>(gradient_code_bytes(count)), 99);
  encode_gradients(values.data(), count, stream, coded.data());
  return coded;
}

std::vector<float> decoded(const std::vector<uint8_t>& coded, std::size_t count) {
  std::vector<float> values(count, -77);
  decode_gradients(coded.data(), static_cast<int64_t>(count), values.data());
  return values;
}

/// max |v| / 7 of each value's bucket.
std::vector<double> units_of(const std::vector<float>& values) {
  std::vector<double> units(values.size());
  for (std::size_t begin = 0; begin < values.size(); begin += kBucket) {
    const std::size_t end = std::min(begin + kBucket, values.size());
    double most = 0;
    for (std::size_t i = begin; i < end; ++i) most = std::max<double>(most, std::abs(values[i]));
    std::fill(units.begin() + static_cast<std::ptrdiff_t>(begin),
              units.begin() + static_cast<std::ptrdiff_t>(end), most / 7);
  }
  return units;
}

TEST(GradientCodes, EveryTargetEqualsTheReference) {
  std::vector<int64_t> counts = odd_counts();
  counts.insert(counts.end(), {0, 63, 64, 95, 127, 128, 129, 160});
  on_every_target([&] {
    for (const int64_t count : counts) {
      for (int kind = 0; kind < kKinds + 2; ++kind) {
        std::vector<float> values =
            kind < kKinds ? make_values(kind, count) : make_gradients(count);
        if (kind > kKinds && count > 3) values[3] = count % 2 == 0 ? NAN : -INFINITY;
        const RoundingStream stream = stream_of(3, 4 * static_cast<uint64_t>(count));
        std::vector<uint8_t> want(static_cast<std::size_t>(gradient_code_bytes(count)), 98);
        reference_encode_gradients(values.data(), count, stream, want.data());
        ASSERT_EQ(encoded(values, stream), want) << count << " of kind " << kind;
        std::vector<float> expected(values.size());
        reference_decode_gradients(want.data(), count, expected.data());
        ASSERT_EQ(bits_of(decoded(want, values.size())), bits_of(expected));
        std::vector<float> sums = make_values(0, count);
        for (std::size_t i = 0; i < sums.size(); ++i) expected[i] = sums[i] + expected[i];
        add_gradients(want.data(), count, sums.data());
        ASSERT_EQ(bits_of(sums), bits_of(expected));
      }
    }
  });
}

TEST(GradientCodes, NoErrorReachesAUnitAndZerosStay) {
  for (const int64_t count : odd_counts()) {
    for (int kind = 0; kind < kKinds; ++kind) {
      const std::vector<float> values = make_values(kind, count);
      const std::vector<double> units = units_of(values);
      const std::vector<float> got = decoded(encoded(values, stream_of(4)), values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        // Where even the unit is denormal, zeros come of all.
        const double bound = std::max(units[i] * 1.00001, 8e-38);
        ASSERT_LE(std::abs(static_cast<double>(got[i]) - values[i]), bound) << kind << " " << i;
        if (values[i] == 0) {
          ASSERT_EQ(got[i], 0.0f);
        }
      }
    }
  }
}

TEST(GradientCodes, TheMeanIsTheValueAndTheVarianceTheSmallestOfItsPoints) {
  constexpr int kSeeds = 4000;
  const std::vector<float> values = make_gradients(301);
  const std::vector<double> units = units_of(values);
  std::vector<double> sum(values.size()), squares(values.size());
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto got =
        decoded(encoded(values, stream_of(static_cast<uint64_t>(seed))), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = static_cast<double>(got[i]) - values[i];
      sum[i] += error;
      squares[i] += error * error;
    }
  }
  double all_squares = 0, all_expected = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double place = values[i] / units[i], up = place - std::floor(place);
    const double variance = units[i] * units[i] * up * (1 - up);
    const double spread = std::sqrt(variance / kSeeds);
    EXPECT_LE(std::abs(sum[i] / kSeeds), 4.5 * spread + 0x1p-18 * units[i]) << values[i];
    all_squares += squares[i] / kSeeds;
    all_expected += variance;
  }
  EXPECT_NEAR(all_squares / all_expected, 1, 0.01);
}

TEST(GradientCodes, NumbersHangOnTheStreamAndThePlaceAlone) {
  const std::vector<float> values = make_gradients(512);
  const auto whole = decoded(encoded(values, stream_of(5)), 512);
  // The buckets after the first, alone, from their place on.
  const std::vector<float> rest(values.begin() + kBucket, values.end());
  const auto part = decoded(encoded(rest, stream_of(5, kBucket)), rest.size());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + kBucket));
  for (const RoundingStream& other :
       {stream_of(6), stream_of(5, 4), RoundingStream{stream_of(5).key, 1, 0}}) {
    EXPECT_NE(decoded(encoded(values, other), 512), whole);
  }
}

TEST(GradientCodes, WhatIsNotFiniteIsItsWholeBucket) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const std::size_t place : {0, 127, 130, 299}) {
      std::vector<float> values = make_gradients(300);
      values[place] = bad;
      const auto got = decoded(encoded(values, stream_of(7)), values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(std::isnan(got[i]), i / kBucket == place / kBucket) << i;
      }
    }
  }
}

TEST(GradientCodes, BytesAreAnEighthAndTheUnits) {
  EXPECT_EQ(gradient_code_bytes(0), 0);
  EXPECT_EQ(gradient_code_bytes(1), 4 + 16);
  EXPECT_EQ(gradient_code_bytes(128), 4 + 64);
  EXPECT_EQ(gradient_code_bytes(129), 8 + 80);
  EXPECT_EQ(gradient_code_bytes(32768), 4 * 256 + 16384);
}

}  // namespace
}  // namespace bitstill
