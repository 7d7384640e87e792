// Gradients on their way in 4 bits: those of weights in codes, those of biases and norms exact.
#pragma once

#include <memory>
#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/plan.hpp"
#include "bitstill/train/coded_sum.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// A step sends each chunk, the exact message behind the last one, waits for all, and unpacks.
class CodedGradients {
 public:
  CodedGradients(Student& student, uint64_t seed, int64_t sums);

  /// Takes the exact values of `chunk` out of student.gradients(), so that no bucket sees them, and
  /// sends the rest. Collective: every rank calls this, in the same order.
  EventPtr send(Channel& channel, const Range& chunk, int64_t step);
  /// Sends `sums` [sums] and all that was taken out. Collective, as send.
  EventPtr send_exact(Channel& channel, const at::Tensor& sums);
  /// What came of them, once it is there.
  void unpack(at::Tensor& sums);

 private:
  /// A bias or norm: where its gradient lies in student.gradients(), and where in the message.
  struct Exact {
    Range range;
    int64_t place = 0;
  };
  void take_out(const Range& chunk);

  Student& student_;
  int64_t sums_;
  std::vector<Exact> exact_;
  // A lane that is left behind may still use them.
  std::shared_ptr<CodedSum> coded_;
  std::shared_ptr<std::vector<float>> message_;  // [sums, exact values]
};

}  // namespace bitstill
