#include "bitstill/train/epoch_plan.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// A micro-batch of one sample joins the one before it, or, where that one has grown already or is
/// not there, the one after: singles become pairs, never one large micro-batch.
std::vector<MicroBatch> merge_singles(const std::vector<MicroBatch>& pieces) {
  std::vector<MicroBatch> merged;
  bool grown = true;  // the last of `merged`
  for (const MicroBatch& piece : pieces) {
    const bool waiting = !merged.empty() && merged.back().count == 1;
    if (waiting || (piece.count == 1 && !grown)) {
      merged.back().count += piece.count;
      grown = true;
    } else {
      merged.push_back(piece);
      grown = false;
    }
  }
  if (merged.size() > 1 && merged.back().count == 1) {
    merged.pop_back();
    ++merged.back().count;
  }
  return merged;
}

std::vector<int64_t> numbers_below(int64_t count) {
  std::vector<int64_t> numbers(static_cast<std::size_t>(std::max<int64_t>(count, 0)));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

}  // namespace

EpochPlan::EpochPlan(std::vector<int64_t> order, int64_t global_batch, int64_t micro_batch,
                     int world)
    : global_batch_(global_batch), micro_batch_(micro_batch), world_(world) {
  epoch_.order = std::move(order);
  const auto samples = static_cast<int64_t>(epoch_.order.size());
  if (samples < 2) {
    throw Error(ExitCode::data, concat("the training split holds ", samples,
                                       " samples; batch norm needs at least 2"));
  }
  steps_ = (samples + global_batch - 1) / global_batch;
  if (steps_ > 1 && samples % global_batch == 1) --steps_;
}

EpochPlan::EpochPlan(int64_t samples, int64_t global_batch, int64_t micro_batch, int world)
    : EpochPlan(numbers_below(samples), global_batch, micro_batch, world) {}

EpochPlan::EpochPlan(BucketedEpoch epoch, int world)
    : epoch_(std::move(epoch)), steps_(epoch_.steps()), world_(world) {
  if (epoch_.order.empty()) {
    throw Error(ExitCode::data, "the training split holds no sentences");
  }
}

std::vector<int64_t> EpochPlan::rows(const MicroBatch& micro) const {
  const auto first = epoch_.order.begin() + micro.first;
  return {first, first + micro.count};
}

StepPlan EpochPlan::step(int64_t index) const {
  if (global_batch_ > 0) return step_of_images(index);
  StepPlan plan;
  for (const SentenceBatch& batch : epoch_.step(index)) {
    plan.micro_batches.push_back({batch.first, batch.count, batch.terms});
    plan.terms += batch.terms;
  }
  plan.owner_first = deal_to_ranks(epoch_.step(index), world_);
  return plan;
}

StepPlan EpochPlan::step_of_images(int64_t index) const {
  const int64_t start = index * global_batch_;
  const int64_t end =
      index + 1 == steps_ ? static_cast<int64_t>(epoch_.order.size()) : start + global_batch_;
  StepPlan plan;
  plan.terms = end - start;
  std::vector<MicroBatch> pieces;
  if (micro_batch_ > 0) {
    for (int64_t at = start; at < end; at += micro_batch_) {
      pieces.push_back({at, std::min(micro_batch_, end - at), 0});
    }
  } else {
    for (int64_t r = 0; r < world_; ++r) {
      const int64_t from = start + plan.terms * r / world_;
      const int64_t to = start + plan.terms * (r + 1) / world_;
      if (to > from) pieces.push_back({from, to - from, 0});
    }
  }
  plan.micro_batches = merge_singles(pieces);
  for (MicroBatch& micro : plan.micro_batches) micro.terms = micro.count;
  const auto count = static_cast<int64_t>(plan.micro_batches.size());
  for (int64_t r = 0; r <= world_; ++r) plan.owner_first.push_back(count * r / world_);
  return plan;
}

int64_t StepPlan::passes(int rank, bool synced) const {
  int64_t most = end_of(rank) - first_of(rank);
  const auto world = static_cast<int>(owner_first.size()) - 1;
  for (int r = 0; synced && r < world; ++r) most = std::max(most, end_of(r) - first_of(r));
  return most;
}

BatchPlan rank_batches(EpochPlan plan, int rank, bool synced, int64_t epoch, int64_t first_step) {
  return [plan = std::move(plan), rank, synced, epoch, step = first_step - 1, pass = int64_t{0},
          now = StepPlan{}](int64_t, std::vector<int64_t>* rows, int64_t* of_epoch) mutable {
    while (now.owner_first.empty() || pass == now.passes(rank, synced)) {
      if (++step >= plan.steps()) return false;
      now = plan.step(step);
      pass = 0;
    }
    rows->clear();
    *of_epoch = epoch;
    const int64_t number = now.first_of(rank) + pass++;
    if (number < now.end_of(rank)) {
      *rows = plan.rows(now.micro_batches[static_cast<std::size_t>(number)]);
    }
    return true;
  };
}

}  // namespace bitstill
