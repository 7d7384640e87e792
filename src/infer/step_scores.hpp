// A step's logits as log-probabilities, and the best continuations of each hypothesis.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bitstill {

struct Continuation {
  int32_t id = 0;
  double score = 0;  // log p of the id
};

class StepScores {
 public:
  /// logits [rows, pieces] fp32, on any device; `width` continuations of a row at most, never the
  /// id `banned`. Error(numbers) for a row whose probabilities are not finite.
  StepScores(const at::Tensor& logits, int64_t banned, int64_t width);
  /// The best of a row by logit, of equal ones the lower id.
  std::span<const Continuation> best(int64_t row) const {
    return best_[static_cast<std::size_t>(row)];
  }
  /// Error(numbers) where it is not finite.
  double score(int64_t row, int64_t id) const;

 private:
  at::Tensor log_p_;  // [rows, pieces], on the CPU
  std::vector<std::vector<Continuation>> best_;
};

}  // namespace bitstill
