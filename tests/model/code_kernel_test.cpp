// 8-bit codes by SIMD against their slow twins.
#include "../../src/model/code_kernel.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

namespace bitstill {
namespace {

/// Of all kinds: among them zeros, subnormals, infinities and NaN.
std::vector<uint16_t> random_values(std::size_t count, std::mt19937* random) {
  std::vector<uint16_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<uint16_t>((*random)() & (i % 3 == 0 ? 0xFFFF : 0xBFFF));
  }
  return values;
}

/// Products and sums are rounded to fp32 at most once more: halves may go to the other side.
void expect_same(const std::vector<uint8_t>& found, const std::vector<uint8_t>& truth) {
  int others = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    EXPECT_LE(std::abs(int{found[i]} - int{truth[i]}), 1) << i;
    others += found[i] != truth[i] ? 1 : 0;
  }
  EXPECT_LE(others, static_cast<int>(truth.size()) / 1000);
}

TEST(CodeKernels, AreTheirTwins) {
  std::mt19937 random(5);
  for (const int64_t channels : {1, 5, 16, 33, 70}) {
    for (const int64_t rows : {0, 1, 7, 257}) {
      const auto count = static_cast<std::size_t>(rows * channels);
      const std::vector<uint16_t> x = random_values(count, &random);
      std::vector<float> scale, shift;
      for (int64_t c = 0; c < channels; ++c) {
        scale.push_back(static_cast<float>(random() % 2001) * 0.3f - 300);
        shift.push_back(static_cast<float>(random() % 2001) * 0.09173f - 91);
      }
      std::vector<uint8_t> found(count, 77), truth(count, 78);
      const Bf16Rows all{x.data(), rows, channels};
      normalize_to_codes(all, scale.data(), shift.data(), found.data());
      normalize_to_codes_reference(all, scale.data(), shift.data(), truth.data());
      expect_same(found, truth);
      to_codes(x.data(), static_cast<int64_t>(count), 37.3f, 119, found.data());
      to_codes_reference(x.data(), static_cast<int64_t>(count), 37.3f, 119, truth.data());
      expect_same(found, truth);
    }
  }
}

TEST(CodeKernels, RoundHalvesUpAndStayInRange) {
  // 0, 0.5, 1.5, 2.5, -0.5, 255, 300, infinity, -infinity, NaN
  const std::vector<uint16_t> x = {0x0000, 0x3F00, 0x3FC0, 0x4020, 0xBF00,
                                   0x437F, 0x4396, 0x7F80, 0xFF80, 0x7FC0};
  std::vector<uint8_t> codes(x.size());
  to_codes(x.data(), static_cast<int64_t>(x.size()), 1, 0, codes.data());
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 1, 2, 3, 0, 255, 255, 255, 0, 0}));
}

}  // namespace
}  // namespace bitstill
