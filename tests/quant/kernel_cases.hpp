// What the tests of the kernels share: kinds of tensors, and every instruction set here.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "../base/every_target.hpp"
#include "bitstill/base/random.hpp"

namespace bitstill {

constexpr float kHuge = std::numeric_limits<float>::max();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

/// Equal bits: a +0 is not a -0.
inline std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

/// Kinds of tensors, by number: random at several scales, constant, zeros of both signs, and edges.
constexpr int kKinds = 9;
inline std::vector<float> make_values(int kind, int64_t count) {
  RandomStream stream(7, StreamPurpose::initialization, static_cast<uint64_t>(kind),
                      static_cast<uint32_t>(count));
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const float u = stream.uniform() - 0.5f;
    const bool even = stream.below(2) == 0;
    switch (kind) {
      case 0:
        values.push_back(u);
        break;
      case 1:
        values.push_back(-1.25f);
        break;
      case 2:
        values.push_back(u * 1e-11f);
        break;  // a range below 1e-10
      case 3:
        values.push_back(u * 1.9f * kHuge);
        break;  // the range fits only just
      case 4:
        values.push_back(u * 1000 * kTiny);
        break;  // denormal
      case 5:
        values.push_back(even ? -0.0f : 0.0f);
        break;
      case 6:
        values.push_back(even ? -0.0f : u * 3 + 1.5f);
        break;  // smallest is a zero
      case 7:
        values.push_back(static_cast<float>(stream.below(511)) / 510);
        break;  // ties
      default:
        values.push_back(1e6f + u);
        break;  // a small range far from zero
    }
  }
  return values;
}

/// Random gradients, some of them zeros of either sign.
inline std::vector<float> make_gradients(int64_t count, uint32_t number = 0) {
  RandomStream stream(8, StreamPurpose::initialization, static_cast<uint64_t>(count), number);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const float u = stream.uniform() - 0.5f;
    const uint64_t special = stream.below(20);
    values.push_back(special == 0 ? 0.0f : special == 1 ? -0.0f : u);
  }
  return values;
}

inline std::size_t buckets_of(int64_t count, int64_t bucket) {
  return static_cast<std::size_t>((count + bucket - 1) / bucket);
}

/// 1 to 33 and lengths around a bucket of 256.
inline std::vector<int64_t> odd_counts() {
  std::vector<int64_t> counts = {255, 256, 257, 258, 1000, 4097};
  for (int64_t count = 1; count <= 33; ++count) counts.push_back(count);
  return counts;
}

}  // namespace bitstill
