// Counter-based random streams (Philox4x32-10, Salmon et al. 2011): a number depends on the seed
// and on what it is for, never on how many were drawn before, on the rank or on the world size.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace bitstill {

/// What a stream is for; each purpose is independent of the others.
enum class StreamPurpose : uint32_t {
  initialization = 1,
  order = 2,
  augmentation = 3,
  dropout = 4,
  rounding = 5,
  split = 6,
  exchange = 7,
  resampling = 8,
};

/// One Philox4x32-10 block: 128 random bits for (key, counter).
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Key for Philox from a seed and a purpose (a mix of both, so near seeds share nothing).
std::array<uint32_t, 2> stream_key(uint64_t seed, StreamPurpose purpose);

/// A sequence of numbers named by (seed, purpose, a, b), for example (seed, augmentation, epoch,
/// sample).
class RandomStream {
 public:
  RandomStream(uint64_t seed, StreamPurpose purpose, uint64_t a = 0, uint32_t b = 0);
  /// The stream named by a text, for example a parameter's name.
  RandomStream(uint64_t seed, StreamPurpose purpose, std::string_view name);

  uint32_t next();                 // 32 random bits
  float uniform();                 // [0, 1), 24 random bits
  uint64_t below(uint64_t limit);  // [0, limit), unbiased; limit >= 1

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;  // [0] counts blocks; a in [1], [2]; b in [3]
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace bitstill
