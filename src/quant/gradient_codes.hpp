// Where the codes of gradients lie in their bytes.
#pragma once

#include <cstdint>

#include "bitstill/quant/gradient_codes.hpp"

namespace bitstill {

constexpr int64_t kGradientBucket = 128;
constexpr int64_t kGroupBytes = kGradientGroup / 2;
constexpr uint8_t kTwoZeros = 0x88;  // of codes

inline int64_t gradient_buckets(int64_t count) {
  return (count + kGradientBucket - 1) / kGradientBucket;
}

inline int64_t gradient_groups(int64_t count) {
  return (count + kGradientGroup - 1) / kGradientGroup;
}

}  // namespace bitstill
