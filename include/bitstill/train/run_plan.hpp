// How the training samples of a run become its epochs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/train/epoch_plan.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// Equal on all ranks. An epoch is a function of its number, of settings, run.seed and, for
/// sentences, of their lengths; of the world size only in whose its micro-batches are, unless
/// train.micro_batch, of sentences train.micro_tokens, is 0.
class RunPlan {
 public:
  RunPlan(int64_t images, const TrainingOptions& options, int world);
  /// [sentences]
  RunPlan(std::vector<SentenceLengths> lengths, const TrainingOptions& options, int world);

  /// Epochs of sentences differ in their steps. Error(data) where there are too few samples,
  /// Error(settings) where train.micro_tokens is below the longest sentence.
  EpochPlan epoch(int64_t epoch) const;
  /// What is padding of the first epoch of sentences, 0 to 1 (padding_share); images have none.
  double padding() const;
  std::span<const SentenceLengths> lengths() const { return lengths_; }  // of images none

 private:
  uint64_t seed_;
  int world_;
  int64_t images_ = 0, global_batch_ = 0, micro_batch_ = 0;
  std::vector<SentenceLengths> lengths_;
  BucketOptions buckets_;
};

/// Of the dataset's training split. Lengths of sentences are read by rank 0 for all, 8 bytes a row.
/// Collective: every rank of comm calls this, in the same order.
RunPlan make_run_plan(const Dataset& dataset, const TrainingOptions& options, Communicator& comm);

}  // namespace bitstill
