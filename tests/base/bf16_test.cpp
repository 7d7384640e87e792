#include "bitstill/base/bf16.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bitstill {
namespace {

TEST(Bf16, EveryValueComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = from_bf16(static_cast<uint16_t>(bits));
    const uint16_t back = to_bf16(value);
    if (std::isnan(value)) {
      EXPECT_EQ(back, 0x7fc0);
    } else {
      EXPECT_EQ(back, bits);
    }
  }
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7f80; bits += 7) {
    const float low = from_bf16(static_cast<uint16_t>(bits));
    const float high = from_bf16(static_cast<uint16_t>(bits + 1));
    if (std::isinf(high)) continue;
    const float middle = low + (high - low) / 2;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    EXPECT_EQ(to_bf16(middle), even);
    EXPECT_EQ(to_bf16(std::nextafterf(middle, low)), bits);
    EXPECT_EQ(to_bf16(std::nextafterf(middle, high)), bits + 1);
    EXPECT_EQ(to_bf16(-std::nextafterf(middle, low)), bits | 0x8000);
  }
}

TEST(Bf16, WhatIsNotFiniteStaysSo) {
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80);  // rounds to infinity
  EXPECT_EQ(to_bf16(-INFINITY), 0xff80);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0xffffffffu)), 0x7fc0);
}

}  // namespace
}  // namespace bitstill
