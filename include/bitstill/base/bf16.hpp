// bfloat16 as plain bits: the upper half of a float.
#pragma once

#include <bit>
#include <cstdint>

namespace bitstill {

inline float from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Rounded to nearest, ties to even; every NaN becomes the same one.
inline uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  return is_nan ? uint16_t{0x7fc0} : static_cast<uint16_t>(rounded);
}

}  // namespace bitstill
