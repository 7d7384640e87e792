// The sum of gradients over ranks in 4 bits a value (quant/gradient_codes.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/comm/plan.hpp"

namespace bitstill {

/// Every rank owns a part of a chunk: it gets the others' codes of it, adds their values to its
/// own, exact ones, in order of rank, and hands the sum's codes to all. Each rounding is stochastic
/// and unbiased, and its random numbers hang on seed, step, rank and place alone. What is not
/// finite arrives as NaN, with its bucket.
class CodedSum {
 public:
  explicit CodedSum(uint64_t seed);

  /// values[0 ... chunk.count) become the sum over ranks, bit-equal on all of them; `chunk` says
  /// where they lie in the gradients. One rank's stay as they are. step < 2^40.
  /// Collective: every rank of comm calls this, in the same order, with the same chunk and step.
  void sum(Communicator& comm, float* values, const Range& chunk, int64_t step);

 private:
  std::array<uint32_t, 2> key_;
  std::vector<uint8_t> mine_, theirs_;  // codes of all parts
};

}  // namespace bitstill
