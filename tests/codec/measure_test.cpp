#include "bitstill/codec/measure.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

namespace bitstill {
namespace {

TEST(Measure, KnowsEntropyAndHuffman) {
  const std::vector<uint8_t> codes = {0, 0, 0, 0, 1, 1, 2, 3};
  EXPECT_DOUBLE_EQ(entropy_bits(codes), 14);
  EXPECT_DOUBLE_EQ(huffman_bits(codes), 14.0 / 8);
  EXPECT_DOUBLE_EQ(huffman_bits({5, 5, 5}), 1);
  EXPECT_DOUBLE_EQ(huffman_bits({}), 0);
  EXPECT_DOUBLE_EQ(huffman_bits({0, 0, 0, 1, 2}), 7.0 / 5);
}

/// P12: what does not vary is a test.
TEST(Measure, SizesMeetTheirTargets) {
  for (const std::size_t points : {4, 8, 16, 256}) {
    const CodecSizes sizes = measure_sizes(student1_shape(), points);
    const auto payload = static_cast<double>(sizes.payload);
    EXPECT_LE(payload, sizes.entropy * (points < 8 ? 1.04 : 1.02)) << points;
    EXPECT_GE(payload, sizes.entropy) << points;
    EXPECT_LE(sizes.payload, sizes.zstd) << points;
    EXPECT_LE(sizes.file, sizes.contents + 2048) << points;
  }
}

TEST(Measure, TheStandInsAreAsLargeAsTheirNetworks) {
  // The paper's table: 5.3 and 1.0 million parameters.
  for (const auto& [network, millions] :
       {std::pair{teacher_shape(), 5.3}, {student1_shape(), 1.0}}) {
    int64_t values = network.others;
    for (const auto& shape : network.weights) {
      values += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    }
    EXPECT_NEAR(static_cast<double>(values) / 1e6, millions, 0.06) << network.name;
  }
}

TEST(Measure, EveryWayOfMovingCodesIsTimed) {
  const CodecTimes times = measure_decode(10000, 13, 2);
  for (const CodecTime& time : {times.decode, times.huff0, times.unpack, times.memcpy}) {
    EXPECT_GT(time.seconds_min, 0);
    EXPECT_GE(time.seconds_median, time.seconds_min);
    EXPECT_LT(time.seconds_median, 1);
  }
  EXPECT_LT(times.memcpy.seconds_min, times.decode.seconds_min);
}

}  // namespace
}  // namespace bitstill
