// Gradients of all ranks become one sum, chunk by chunk, while backward still runs; or, where only
// points learn, theirs alone (some hundred bytes).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/leaf_tree.hpp"
#include "bitstill/comm/plan.hpp"
#include "bitstill/train/coded_gradients.hpp"
#include "bitstill/train/epoch_plan.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// What all ranks know after a step's exchange.
struct StepTotals {
  double soft = 0, hard = 0;      // mean losses over the step's samples
  double correct = 0;             // predictions
  int64_t failed = 0, stops = 0;  // ranks whose batch failed; ranks asked to stop
  int64_t saves = 0;              // ranks asked for a checkpoint
};

/// What a rank asks of all after a step; travels with its sums.
struct StepWishes {
  bool stop = false, save = false;
};

/// What travels in a step.
enum class Travels { weights, points };

/// Sums over the samples that a rank adds to the step's totals besides the gradients: losses,
/// correct predictions, batch statistics weighted by samples. They travel in the last chunk.
/// Order `fast`: micro-batches add up in place, ranks by all-reduce. Order `fixed`: one binary tree
/// over micro-batch numbers, inside the rank and then across ranks (comm/leaf_tree.hpp).
/// Collective: every rank calls begin, finish in the same order, micro-batches or not.
class GradientExchange {
 public:
  /// `seed` and a step's number decide how a codec rounds (options.codec is not auto). `points`
  /// carries the points' gradients; null where none ever travel.
  GradientExchange(Student& student, int rank, uint64_t seed, const ExchangeOptions& options,
                   std::unique_ptr<Channel> channel, std::unique_ptr<Channel> points = nullptr);
  ~GradientExchange();
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  /// Starts step `step` of the run: gradients and sums are zero.
  void begin(int64_t step, const StepPlan& plan, Travels travels = Travels::weights);
  /// Before a backward pass. In the rank's last one of the step, hooks send the chunks whose
  /// gradients are complete.
  void before_backward(bool last);
  /// After the backward pass of micro-batch `number` of the plan: its losses (sums [3]) and its
  /// batch statistics join the step's. Not called for a pass without samples.
  void after_backward(int64_t number, const at::Tensor& loss_sums);
  /// Sends what no hook has sent, waits for all, and leaves in student.gradients() (points: in
  /// student.learned_gradients()) the gradient of the step's mean loss and in student.running() the
  /// statistics' moving average.
  StepTotals finish(bool failed, const StepWishes& wishes, double batch_norm_momentum);

  /// How many floats go with a step's gradients or points.
  int64_t sums() const { return sums_.numel(); }

  /// Seconds spent inside collectives since the last call, hidden or not.
  double take_busy_seconds();

 private:
  struct Hook;
  void send_ready();
  void send(const Range& chunk);
  void send_rounded(const Range& chunk);
  /// The step's message: [sums, gradients], or [sums, points' gradients] on the CPU.
  at::Tensor& message() { return travels_ == Travels::points ? points_message_ : weights_message_; }
  void pack_points();
  void unpack_points();
  EventPtr sum_over_ranks(Channel& channel, const Range& part);
  EventPtr sum_as_tree(Channel& channel, const Range& part);

  Student& student_;
  int rank_;
  bool fixed_;
  Codec codec_;
  std::unique_ptr<Channel> channel_, points_channel_;
  Travels travels_ = Travels::weights;
  ChunkGate gate_;
  bool armed_ = false;  // in the rank's last backward pass of the step
  std::vector<EventPtr> sent_;
  int64_t step_ = 0;
  StepPlan plan_;
  at::Tensor weights_message_, points_message_;
  std::vector<uint16_t> codes_;            // bf16 only: the gradients on their way
  std::unique_ptr<CodedGradients> coded_;  // qsgd only
  at::Tensor sums_;  // [flags, losses, statistics]: the head of weights_message_

  // Fixed order only: messages of the rank's leaves before its last one, partly added up.
  std::unique_ptr<LeafTree> tree_;
  at::Tensor stack_;  // [rows, elements of the message]
  int64_t stack_size_ = 0;
  int64_t rows_before_last_ = 0;  // the stack's size when the last leaf comes
};

}  // namespace bitstill
