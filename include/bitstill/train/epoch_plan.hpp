// Which samples of an epoch make a step, which micro-batches make a step, and whose they are.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/data/length_buckets.hpp"
#include "bitstill/data/prefetch.hpp"

namespace bitstill {

/// Consecutive samples of the epoch's order: one forward and backward pass.
struct MicroBatch {
  int64_t first = 0;
  int64_t count = 0;
  int64_t terms = 0;  // of the loss: images, target tokens
};

/// One step's micro-batches in order of number; rank r holds [owner_first[r], owner_first[r + 1]).
struct StepPlan {
  int64_t terms = 0;  // over all ranks: what the step's means divide by
  std::vector<MicroBatch> micro_batches;
  std::vector<int64_t> owner_first;
  int64_t first_of(int rank) const { return owner_first[static_cast<std::size_t>(rank)]; }
  int64_t end_of(int rank) const { return owner_first[static_cast<std::size_t>(rank) + 1]; }
  /// How many forward passes a rank makes: its micro-batches, and under synchronized batch norm as
  /// many as the rank with the most, so that its sums stay paired.
  int64_t passes(int rank, bool synced) const;
};

/// An epoch's order of the samples, and the steps that go through it. The rules for images, equal
/// on all ranks:
/// - a step takes global_batch samples; the epoch's last step takes what is left, and a single
///   sample that would be left joins the step before it (batch norm needs two);
/// - micro_batch > 0: micro-batches of that size, the last one shorter, dealt to ranks in equal
///   consecutive runs, so the list does not depend on the world size;
/// - micro_batch = 0: the local batch, samples dealt evenly, one micro-batch a rank;
/// - a micro-batch of one sample is merged with its neighbour;
/// - a rank without micro-batches still takes part in the exchange.
/// For sentences bucket_epoch() has the steps, deal_to_ranks() whose their micro-batches are; one
/// of a single sentence stays alone, since there is no batch norm.
class EpochPlan {
 public:
  /// Of images. Error(data) when fewer than two are there.
  EpochPlan(std::vector<int64_t> order, int64_t global_batch, int64_t micro_batch, int world);
  /// The same in the order of their numbers.
  EpochPlan(int64_t samples, int64_t global_batch, int64_t micro_batch, int world);
  /// Of sentences. Error(data) when there are none.
  EpochPlan(BucketedEpoch epoch, int world);

  const std::vector<int64_t>& order() const { return epoch_.order; }
  int64_t steps() const { return steps_; }
  StepPlan step(int64_t index) const;
  /// The samples of a micro-batch.
  std::vector<int64_t> rows(const MicroBatch& micro) const;

 private:
  StepPlan step_of_images(int64_t index) const;

  BucketedEpoch epoch_;                         // of images its order alone
  int64_t global_batch_ = 0, micro_batch_ = 0;  // 0: sentences
  int64_t steps_;
  int world_;
};

/// This rank's batches of an epoch for the prefetch thread, from `first_step` on, step by step and
/// pass by pass.
BatchPlan rank_batches(EpochPlan plan, int rank, bool synced, int64_t epoch,
                       int64_t first_step = 0);

}  // namespace bitstill
