// The order of additions that points_kernel.hpp defines, in plain code.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "bitstill/quant/points_kernel.hpp"

namespace bitstill {

constexpr int kGradientLanes = 16;

/// Where the block of a piece that begins at `begin` ends; `end`: the piece's end.
constexpr int64_t block_end(int64_t begin, int64_t end) {
  return end - begin < 2 * kGradientBlock ? end : begin + kGradientBlock;
}

/// Sixteen lanes added in halves; they are overwritten.
inline float add_lanes(float* lanes) {
  for (int half = kGradientLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// The sum of a block's terms.
class LaneSum {
 public:
  void add(int64_t i, float term) { lanes_[static_cast<std::size_t>(i % kGradientLanes)] += term; }
  float total() { return add_lanes(lanes_.data()); }

 private:
  std::array<float, kGradientLanes> lanes_{};
};

/// The sum over values [begin, end), a piece, of term(i): its blocks in double, rounded once.
template <class Term>
float piece_sum(int64_t begin, int64_t end, const Term& term) {
  double sum = 0;
  for (int64_t stop = 0; begin < end; begin = stop) {
    stop = block_end(begin, end);
    LaneSum block;
    for (int64_t i = begin; i < stop; ++i) block.add(i - begin, term(i));
    sum += block.total();
  }
  return static_cast<float>(sum);
}

}  // namespace bitstill
