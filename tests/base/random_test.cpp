#include "bitstill/base/random.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace bitstill {
namespace {

using Block = std::array<uint32_t, 4>;

TEST(Random, PhiloxKnownAnswers) {  // Random123's kat_vectors, philox4x32 10
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  const uint32_t ones = 0xFFFFFFFF;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (Block{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Block{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Random, AStreamIsItsBlocksInOrder) {
  const auto key = stream_key(42, StreamPurpose::dropout);
  RandomStream stream(42, StreamPurpose::dropout, 0x100000002, 3);
  for (uint32_t block = 0; block < 3; ++block) {
    const auto expected = philox({block, 2, 1, 3}, key);
    for (const uint32_t word : expected) EXPECT_EQ(stream.next(), word);
  }
}

TEST(Random, StreamsDifferBySeedPurposeAndName) {
  std::set<uint32_t> first;
  int streams = 0;
  const auto add = [&](RandomStream stream) {
    first.insert(stream.next());
    ++streams;
  };
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{1} << 32}) {
    for (const auto purpose : {StreamPurpose::initialization, StreamPurpose::rounding}) {
      add({seed, purpose});
      add({seed, purpose, 1});
      add({seed, purpose, uint64_t{1} << 32});
      add({seed, purpose, 0, 1});
      add({seed, purpose, "conv1.weight"});
      add({seed, purpose, "conv2.weight"});
      add({seed, purpose, ""});
    }
  }
  EXPECT_EQ(first.size(), static_cast<std::size_t>(streams));
}

TEST(Random, UniformHas24BitsBelowOne) {
  RandomStream stream(1, StreamPurpose::augmentation), bits(1, StreamPurpose::augmentation);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const float value = stream.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    ASSERT_EQ(value * 0x1p24F, static_cast<float>(bits.next() >> 8));
    sum += value;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);  // 5 standard deviations of the mean
}

TEST(Random, BelowIsUnbiasedAndInRange) {
  RandomStream stream(3, StreamPurpose::order);
  for (const uint64_t limit : {1, 2, 3, 7, 10}) {
    std::map<uint64_t, int> seen;
    const int draws = 70000;
    for (int i = 0; i < draws; ++i) ++seen[stream.below(limit)];
    EXPECT_EQ(seen.size(), limit);
    EXPECT_LT(seen.rbegin()->first, limit);
    double chi_square = 0;
    const double expected = draws / static_cast<double>(limit);
    for (const auto& [value, count] : seen) {
      chi_square += (count - expected) * (count - expected) / expected;
    }
    EXPECT_LT(chi_square, 40) << limit;  // 9 degrees of freedom: p < 1e-5
  }
}

TEST(Random, BelowTakesLargeLimits) {
  RandomStream stream(4, StreamPurpose::order);
  const uint64_t word = uint64_t{1} << 32;
  for (const uint64_t limit : {word - 1, word, word + 1, 3 * word, ~uint64_t{0}}) {
    uint64_t largest = 0;
    for (int i = 0; i < 200; ++i) {
      const uint64_t drawn = stream.below(limit);
      ASSERT_LT(drawn, limit);
      largest = std::max(largest, drawn);
    }
    EXPECT_GT(largest, limit / 2);
  }
}

}  // namespace
}  // namespace bitstill
