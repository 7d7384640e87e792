#include "bitstill/codec/measure.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace bitstill
