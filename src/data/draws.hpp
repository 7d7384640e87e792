// The random numbers of augmentation: streams by what they decide, and numbers by distribution.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "bitstill/base/random.hpp"

namespace bitstill {

/// What a stream decides, so that no option changes another's numbers.
enum class Drawn : uint64_t { place, jitter, lighting, erasure, mixture };

/// row: below 2^56.
inline RandomStream stream_of(uint64_t seed, Drawn what, int64_t row, int64_t variant) {
  return {seed, StreamPurpose::augmentation,
          static_cast<uint64_t>(row) | static_cast<uint64_t>(what) << 56,
          static_cast<uint32_t>(variant)};
}

/// [low, high), of 32 random bits.
inline double uniform(RandomStream* stream, double low, double high) {
  return low + (high - low) * (stream->next() * 0x1p-32);
}

/// (0, 1]: has a logarithm.
inline double above_zero(RandomStream* stream) {
  return (stream->next() + 1.0) * 0x1p-32;
}

/// Of mean 0 and deviation 1 (Box and Muller).
inline double normal(RandomStream* stream) {
  const double first = above_zero(stream);
  return std::sqrt(-2 * std::log(first)) * std::cos(uniform(stream, 0, 2 * std::numbers::pi));
}

}  // namespace bitstill
