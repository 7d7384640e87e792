#include "bitstill/train/exchange.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "bitstill/base/bf16.hpp"
#include "bitstill/comm/tree_message.hpp"

namespace bitstill {
namespace {

// Layout of the sums that travel in the last chunk: flags, losses, batch statistics.
constexpr int64_t kFailed = 0, kStop = 1, kSave = 2, kFlags = 3;
constexpr int64_t kSoft = 3, kHard = 4, kCorrect = 5, kStatistics = 6;
constexpr int64_t kAlign = 16;  // elements: gradients begin on 64 bytes

ChunkGate make_gate(Student& student, const ExchangeOptions& options) {
  std::vector<Range> ranges;
  for (const Segment& segment : student.segments())
    ranges.push_back({segment.offset, segment.count});
  return {plan_chunks(student.gradients().numel(), ranges, gradient_chunk_bytes(options)), ranges};
}

}  // namespace

/// Called by backward when a parameter's gradient is complete.
struct GradientExchange::Hook : torch::autograd::PostAccumulateGradHook {
  explicit Hook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

GradientExchange::GradientExchange(Student& student, int rank, uint64_t seed,
                                   const ExchangeOptions& options, std::unique_ptr<Channel> channel,
                                   std::unique_ptr<Channel> points)
    : student_(student),
      rank_(rank),
      fixed_(options.order == ExchangeOrder::fixed),
      codec_(options.codec),
      channel_(std::move(channel)),
      points_channel_(std::move(points)),
      gate_(make_gate(student, options)) {
  const int64_t sums = kStatistics + student.statistics().numel();
  const int64_t elements = student.gradients().numel(),
                room = (sums + kAlign - 1) / kAlign * kAlign;
  const at::Tensor buffer = at::zeros({room + elements}, student.gradients().options());
  student.move_gradients(buffer.narrow(0, room, elements));
  weights_message_ = buffer.narrow(0, room - sums, sums + elements);
  sums_ = weights_message_.narrow(0, 0, sums);
  if (codec_ == Codec::bf16) codes_.resize(static_cast<std::size_t>(elements));
  if (codec_ == Codec::qsgd) coded_ = std::make_unique<CodedGradients>(student, seed, sums);
  points_message_ = at::zeros({sums + student.learned_gradients().numel()});
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

void GradientExchange::begin(int64_t step, const StepPlan& plan, Travels travels) {
  at::NoGradGuard no_grad;
  step_ = step;
  plan_ = plan;
  travels_ = travels;
  sent_.clear();
  gate_.arm();
  armed_ = false;
  weights_message_.zero_();
  if (!fixed_) return;
  tree_ = std::make_unique<LeafTree>(plan.owner_first);
  stack_size_ = 0;
  rows_before_last_ = rows_before_last(*tree_, rank_);
  const int64_t depth = tree_->stack_depth(rank_);
  if (!stack_.defined() || stack_.size(0) < depth || stack_.size(1) != message().numel()) {
    stack_ = at::zeros({depth, message().numel()}, message().options());
  }
  // A rank that fails before it fills its rows sends what lies in them.
  stack_.narrow(1, 0, kFlags).zero_();
}

void GradientExchange::before_backward(bool last) {
  armed_ = last && travels_ == Travels::weights;
}

void GradientExchange::after_backward(int64_t number, const at::Tensor& loss_sums) {
  at::NoGradGuard no_grad;
  const auto terms = static_cast<double>(plan_.terms);
  const auto mine =
      static_cast<double>(plan_.micro_batches[static_cast<std::size_t>(number)].terms);
  at::Tensor leaf = sums_;
  if (fixed_) leaf.zero_();
  leaf.narrow(0, kSoft, 2).add_(loss_sums.narrow(0, 0, 2), 1 / terms);
  leaf.narrow(0, kCorrect, 1).add_(loss_sums.narrow(0, 2, 1));
  leaf.narrow(0, kStatistics, student_.statistics().numel())
      .add_(student_.statistics(), mine / terms);
  if (!fixed_ || number + 1 == plan_.end_of(rank_)) return;
  // Not the rank's last leaf: it leaves the message for the stack.
  if (travels_ == Travels::points) pack_points();
  stack_[stack_size_++].copy_(message());
  for (int merges = tree_->merges(rank_, number); merges > 0; --merges, --stack_size_) {
    stack_[stack_size_ - 2].add_(stack_[stack_size_ - 1]);
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
  if (codec_ == Codec::bf16) {
    send_rounded(chunk);
    return;
  }
  if (coded_) {
    sent_.push_back(coded_->send(*channel_, chunk, step_));
    if (chunk.offset == 0) sent_.push_back(coded_->send_exact(*channel_, sums_));
    return;
  }
  sent_.push_back(sum_over_ranks(*channel_, part_of_message(chunk, sums_.numel())));
}

/// The sums, which need all their bits, are then a message of their own, behind the last chunk.
void GradientExchange::send_rounded(const Range& chunk) {
  float* values = student_.gradients().data_ptr<float>() + chunk.offset;
  uint16_t* codes = codes_.data() + chunk.offset;
  sent_.push_back(channel_->enqueue([values, codes, count = chunk.count](Communicator& comm) {
    std::transform(values, values + count, codes, to_bf16);
    comm.all_reduce(codes, count, ElementType::bf16);
    std::transform(codes, codes + count, values, from_bf16);
  }));
  if (chunk.offset == 0) sent_.push_back(sum_over_ranks(*channel_, {0, sums_.numel()}));
}

void GradientExchange::pack_points() {
  student_.backward(true);
  const int64_t sums = sums_.numel(), points = student_.learned_gradients().numel();
  points_message_.narrow(0, 0, sums).copy_(sums_);
  points_message_.narrow(0, sums, points).copy_(student_.learned_gradients());
}

void GradientExchange::unpack_points() {
  const int64_t sums = sums_.numel(), points = student_.learned_gradients().numel();
  sums_.copy_(points_message_.narrow(0, 0, sums));
  student_.learned_gradients().copy_(points_message_.narrow(0, sums, points));
}

EventPtr GradientExchange::sum_over_ranks(Channel& channel, const Range& part) {
  if (fixed_) return sum_as_tree(channel, part);
  return channel.all_reduce(message().data_ptr<float>() + part.offset, part.count, nullptr);
}

EventPtr GradientExchange::sum_as_tree(Channel& channel, const Range& part) {
  // The rank's last leaf lies in the message, its earlier ones on the stack.
  TreePart mine{
      {}, message().data_ptr<float>() + part.offset, part.count, part.offset == 0 ? kFlags : 0};
  for (int64_t row = 0; row < rows_before_last_; ++row) {
    mine.rows.push_back(stack_.data_ptr<float>() + row * stack_.size(1) + part.offset);
  }
  return sum_by_tree(channel, *tree_, std::move(mine));
}

StepTotals GradientExchange::finish(bool failed, const StepWishes& wishes,
                                    double batch_norm_momentum) {
  at::NoGradGuard no_grad;
  armed_ = false;
  sums_[kFailed].fill_(failed ? 1 : 0);
  sums_[kStop].fill_(wishes.stop ? 1 : 0);
  sums_[kSave].fill_(wishes.save ? 1 : 0);
  if (travels_ == Travels::points) {
    pack_points();
    points_channel_->wait(sum_over_ranks(*points_channel_, {0, points_message_.numel()}));
    unpack_points();
  } else {
    for (const Range& chunk : gate_.finish()) send(chunk);
    for (const EventPtr& event : sent_) channel_->wait(event);
    channel_->wait_on_host(sent_.back());  // what follows blocks without asking after the others
    if (coded_) coded_->unpack(sums_);
  }

  const at::Tensor host = sums_.narrow(0, 0, kStatistics).cpu();
  const float* values = host.const_data_ptr<float>();
  StepTotals totals{values[kSoft],
                    values[kHard],
                    values[kCorrect],
                    static_cast<int64_t>(values[kFailed]),
                    static_cast<int64_t>(values[kStop]),
                    static_cast<int64_t>(values[kSave])};
  const int64_t statistics = student_.statistics().numel();
  const at::Tensor batch = sums_.narrow(0, kStatistics, statistics);
  // One step that is not finite is skipped; it must not stay in the moving average for ever.
  if (totals.failed == 0 && at::isfinite(batch).all().item<bool>()) {
    student_.move_running(batch, batch_norm_momentum);
  }
  return totals;
}

}  // namespace bitstill
