#include "bitstill/codec/bit_packing.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>
#include <memory>
#include <vector>

#include "bitstill/base/random.hpp"

namespace bitstill {
namespace {

std::vector<uint8_t> random_codes(std::size_t count, int bits, uint64_t seed) {
  RandomStream random(seed, StreamPurpose::rounding, count);
  std::vector<uint8_t> codes(count);
  for (auto& code : codes) code = static_cast<uint8_t>(random.below(uint64_t{1} << bits));
  return codes;
}

TEST(BitPacking, CountsBytes) {
  EXPECT_EQ(packed_bytes(0, 3), 0u);
  EXPECT_EQ(packed_bytes(1, 1), 1u);
  EXPECT_EQ(packed_bytes(8, 3), 3u);
  EXPECT_EQ(packed_bytes(9, 3), 4u);
  EXPECT_EQ(packed_bytes(5, 8), 5u);
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(packed_bytes(most, 8), most);
}

TEST(BitPacking, IsLowestBitFirst) {
  const uint8_t codes[] = {0b101, 0b001, 0b110};  // 110 001 101, read from the right
  uint8_t packed[2];
  pack_codes(codes, 3, 3, packed);
  EXPECT_EQ(packed[0], 0b10001101);
  EXPECT_EQ(packed[1], 0b00000001);
}

// The buffers are exactly as large as they must be, so the sanitizers see a byte too many.
void expect_equal_to_reference(std::size_t count, int bits) {
  const auto codes = random_codes(count, bits, 5);
  const std::size_t size = packed_bytes(count, bits);
  const auto packed = std::make_unique<uint8_t[]>(size);
  const auto expected = std::make_unique<uint8_t[]>(size);
  pack_codes(codes.data(), count, bits, packed.get());
  pack_codes_reference(codes.data(), count, bits, expected.get());
  ASSERT_TRUE(std::equal(packed.get(), packed.get() + size, expected.get()));
  const auto back = std::make_unique<uint8_t[]>(count);
  unpack_codes(packed.get(), count, bits, back.get());
  ASSERT_TRUE(std::equal(codes.begin(), codes.end(), back.get()));
  unpack_codes_reference(packed.get(), count, bits, back.get());
  ASSERT_TRUE(std::equal(codes.begin(), codes.end(), back.get()));
}

TEST(BitPacking, EqualsTheReferenceAtAnyCountWithEveryInstructionSet) {
  const int64_t targets = hwy::SupportedTargets();
  for (int64_t rest = targets; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    for (int bits = 1; bits <= 8; ++bits) {
      for (std::size_t count = 0; count <= 400; ++count) {
        expect_equal_to_reference(count, bits);
        ASSERT_FALSE(HasFatalFailure())
            << count << " codes of " << bits << " bits, " << hwy::TargetName(rest & -rest);
      }
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(BitPacking, RoundTripsALargeTensorFromAnyAlignment) {
  const std::size_t count = 100003;
  for (int bits = 1; bits <= 8; ++bits) {
    const auto codes = random_codes(count, bits, 6);
    std::vector<uint8_t> packed(packed_bytes(count, bits) + 5);
    pack_codes(codes.data(), count, bits, packed.data() + 5);
    for (std::size_t at = 1; at <= 64; at += 9) {
      std::vector<uint8_t> back(count + 65, 0xAA);
      unpack_codes(packed.data() + 5, count, bits, back.data() + at);
      ASSERT_TRUE(std::equal(codes.begin(), codes.end(), back.data() + at)) << bits;
      EXPECT_EQ(back[at - 1], 0xAA);
      EXPECT_EQ(back[at + count], 0xAA);
    }
  }
}

TEST(BitPacking, IgnoresBitsAboveTheWidth) {
  for (int bits = 1; bits <= 7; ++bits) {
    const std::vector<uint8_t> codes(19, 0xFF);
    std::vector<uint8_t> packed(packed_bytes(19, bits)), back(19);
    pack_codes(codes.data(), 19, bits, packed.data());
    unpack_codes(packed.data(), 19, bits, back.data());
    EXPECT_EQ(back, std::vector<uint8_t>(19, static_cast<uint8_t>((1 << bits) - 1)));
    EXPECT_EQ(packed.back() >> (19 * bits % 8), 0) << "unused bits are zero";
  }
}

}  // namespace
}  // namespace bitstill
