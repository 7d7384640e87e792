// A pass over a part of the training samples, divided over ranks, that leaves the same bits at any
// number of ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/data/prefetch.hpp"
#include "bitstill/train/epoch_plan.hpp"

namespace bitstill {

/// The first `batches` batches of `batch` samples of one random order of the training split,
/// without augmentation; fewer where the split holds fewer.
struct SamplePass {
  int64_t batches = 0;
  int64_t batch = 0;
  /// Samples a forward pass; 0: those of a batch, at most 64, since a rank's part of the batch
  /// would depend on the number of ranks.
  int64_t micro_batch = 0;
};

/// What a micro-batch adds to the sum: fp32 [count]. `samples`: of the whole pass.
using MicroBatchValue = std::function<at::Tensor(const Batch& batch, int64_t samples)>;

/// The micro-batches of a pass and whose they are. Error(data) when there are fewer than two
/// samples (batch norm).
StepPlan plan_pass(const SamplePass& pass, int64_t samples, int world);

/// The sum of `value` over the micro-batches, as one tree over their numbers (comm/leaf_tree.hpp):
/// fp32 [count] on the CPU, the same bits on every rank and for every world size. `progress` (may
/// be empty) is called after each micro-batch (false), and before waiting for the other ranks
/// (true). A rank that fails makes all throw (comm/agree.hpp).
/// Collective: every rank of comm calls this, in the same order.
at::Tensor sum_over_pass(const Dataset& dataset, const SamplePass& pass, int64_t count,
                         const MicroBatchValue& value,
                         const std::function<void(bool waits)>& progress, Communicator& comm);

}  // namespace bitstill
