#include "bitstill/train/exchange.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>

namespace bitstill {
namespace {

// Layout of the sums that travel in the last chunk: flags, losses, batch statistics.
constexpr int64_t kFailed = 0, kStop = 1, kFlags = 2;
constexpr int64_t kSoft = 2, kHard = 3, kCorrect = 4, kStatistics = 5;

ChunkGate make_gate(Student& student, const ExchangeOptions& options) {
  std::vector<Range> ranges;
  for (const Segment& segment : student.segments())
    ranges.push_back({segment.offset, segment.count});
  return {plan_chunks(student.gradients().numel(), ranges, options.chunk_bytes), ranges};
}

}  // namespace

/// Called by backward when a parameter's gradient is complete.
struct GradientExchange::Hook : torch::autograd::PostAccumulateGradHook {
  explicit Hook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

GradientExchange::GradientExchange(Student& student, int rank, const ExchangeOptions& options,
                                   std::unique_ptr<Channel> channel,
                                   std::unique_ptr<Channel> points)
    : student_(student),
      rank_(rank),
      fixed_(options.order == ExchangeOrder::fixed),
      channel_(std::move(channel)),
      points_channel_(std::move(points)),
      gate_(make_gate(student, options)) {
  sums_ = at::zeros({kStatistics + student.statistics().numel()}, student.gradients().options());
  const auto& parameters = student.network().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Range range{student.segments()[i].offset, student.segments()[i].count};
    torch::autograd::impl::set_post_acc_grad_hooks(parameters[i]->value,
                                                   std::make_unique<Hook>([this, range] {
                                                     if (!armed_) return;
                                                     gate_.mark_ready(range);
                                                     send_ready();
                                                   }));
  }
}

GradientExchange::~GradientExchange() {
  points_channel_.reset();
  channel_.reset();  // after an error its thread may still use the buffers of the fixed order
  for (const Parameter* parameter : student_.network().parameters()) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameter->value, nullptr);
  }
}

void GradientExchange::begin(const StepPlan& plan, Travels travels) {
  at::NoGradGuard no_grad;
  plan_ = plan;
  travels_ = travels;
  sent_.clear();
  sent_points_.reset();
  gate_.arm();
  armed_ = false;
  student_.gradients().zero_();
  sums_.zero_();
  if (!fixed_) return;
  tree_ = std::make_unique<LeafTree>(plan.owner_first);
  stack_size_ = 0;
  rows_before_last_ = 0;
  for (int64_t leaf = plan.first_of(rank_); leaf + 1 < plan.end_of(rank_); ++leaf) {
    rows_before_last_ += 1 - tree_->merges(rank_, leaf);
  }
  const int64_t depth = tree_->stack_depth(rank_);
  if (!payload_stack_.defined() || payload_stack_.size(0) < depth ||
      payload_stack_.size(1) != payload().numel()) {
    payload_stack_ = at::zeros({depth, payload().numel()}, payload().options());
    sums_stack_ = at::zeros({depth, sums_.numel()}, sums_.options());
  }
}

void GradientExchange::before_backward(bool last) {
  armed_ = last && travels_ == Travels::weights;
}

void GradientExchange::after_backward(int64_t number, const at::Tensor& loss_sums) {
  at::NoGradGuard no_grad;
  const auto samples = static_cast<double>(plan_.samples);
  const auto mine =
      static_cast<double>(plan_.micro_batches[static_cast<std::size_t>(number)].count);
  at::Tensor leaf = sums_;
  if (fixed_) leaf.zero_();
  leaf.narrow(0, kSoft, 2).add_(loss_sums.narrow(0, 0, 2), 1 / samples);
  leaf.narrow(0, kCorrect, 1).add_(loss_sums.narrow(0, 2, 1));
  leaf.narrow(0, kStatistics, student_.statistics().numel())
      .add_(student_.statistics(), mine / samples);
  if (!fixed_ || number + 1 == plan_.end_of(rank_)) return;
  // Not the rank's last leaf: both values leave their buffers for the stack.
  if (travels_ == Travels::points) student_.backward(true);
  payload_stack_[stack_size_].copy_(payload());
  sums_stack_[stack_size_].copy_(sums_);
  ++stack_size_;
  for (int merges = tree_->merges(rank_, number); merges > 0; --merges, --stack_size_) {
    payload_stack_[stack_size_ - 2].add_(payload_stack_[stack_size_ - 1]);
    sums_stack_[stack_size_ - 2].add_(sums_stack_[stack_size_ - 1]);
  }
  student_.gradients().zero_();
}

double GradientExchange::take_busy_seconds() {
  return channel_->take_busy_seconds() +
         (points_channel_ ? points_channel_->take_busy_seconds() : 0);
}

void GradientExchange::send_ready() {
  for (const Range& chunk : gate_.take_ready()) send(chunk);
}

void GradientExchange::send(const Range& chunk) {
  float* data = student_.gradients().data_ptr<float>() + chunk.offset;
  if (fixed_) {
    sent_.push_back(sum_as_tree(*channel_, payload_stack_, data, chunk.offset, chunk.count));
  } else {
    sent_.push_back(channel_->all_reduce(data, chunk.count, nullptr));
  }
}

void GradientExchange::send_points() {
  student_.backward(true);
  float* points = student_.learned_gradients().data_ptr<float>();
  const int64_t count = student_.learned_gradients().numel();
  sent_points_ = fixed_ ? sum_as_tree(*points_channel_, payload_stack_, points, 0, count)
                        : points_channel_->all_reduce(points, count, nullptr);
}

EventPtr GradientExchange::sum_as_tree(Channel& channel, const at::Tensor& stack, float* last,
                                       int64_t offset, int64_t count) {
  // The rank's last leaf lies in `last`, its earlier ones on the stack.
  const bool has_leaves = plan_.end_of(rank_) > plan_.first_of(rank_);
  const int merges = has_leaves ? tree_->merges(rank_, plan_.end_of(rank_) - 1) : 0;
  std::vector<float*> rows;
  for (int64_t row = 0; row < rows_before_last_; ++row) {
    rows.push_back(stack.data_ptr<float>() + row * stack.size(1) + offset);
  }
  return channel.enqueue(
      [tree = tree_.get(), rows, merges, last, count, has_leaves](Communicator& comm) {
        std::vector<float*> partials = rows;
        for (int m = 0; m < merges; ++m, partials.pop_back()) {
          const float* below = partials.back();
          for (int64_t i = 0; i < count; ++i) last[i] = below[i] + last[i];
        }
        if (has_leaves) partials.push_back(last);
        tree->sum(comm, partials, last, count);
      });
}

StepTotals GradientExchange::finish(bool failed, bool stop, double batch_norm_momentum) {
  at::NoGradGuard no_grad;
  armed_ = false;
  if (travels_ == Travels::points) {
    send_points();
  } else {
    for (const Range& chunk : gate_.finish()) send(chunk);
  }
  sums_[kFailed].fill_(failed ? 1 : 0);
  sums_[kStop].fill_(stop ? 1 : 0);
  float* sums = sums_.data_ptr<float>();
  if (fixed_) {
    sent_.push_back(channel_->all_reduce(sums, kFlags, nullptr));
    sent_.push_back(
        sum_as_tree(*channel_, sums_stack_, sums + kFlags, kFlags, sums_.numel() - kFlags));
  } else {
    sent_.push_back(channel_->all_reduce(sums, sums_.numel(), nullptr));
  }
  for (const EventPtr& event : sent_) channel_->wait(event);
  channel_->wait_on_host(sent_.back());  // what follows blocks without asking after the others
  if (sent_points_) points_channel_->wait(sent_points_);

  const at::Tensor host = sums_.narrow(0, 0, kStatistics).cpu();
  const float* values = host.const_data_ptr<float>();
  StepTotals totals{values[kSoft], values[kHard], values[kCorrect],
                    static_cast<int64_t>(values[kFailed]), static_cast<int64_t>(values[kStop])};
  const int64_t statistics = student_.statistics().numel();
  const at::Tensor batch = sums_.narrow(0, kStatistics, statistics);
  // One step that is not finite is skipped; it must not stay in the moving average for ever.
  if (totals.failed == 0 && at::isfinite(batch).all().item<bool>()) {
    student_.running().lerp_(batch, batch_norm_momentum);
  }
  return totals;
}

}  // namespace bitstill
