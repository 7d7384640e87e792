// Counts of a network over a split, the work divided over ranks.
#pragma once

#include <functional>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

struct EvaluateOptions {
  int64_t batch = 100;  // samples a forward pass: batches are cut alike for every world size
  bool channels_last = true;
  at::Device device = at::kCPU;
  /// Called after each batch (false), and before waiting for the other ranks (true).
  std::function<void(bool waits)> progress;
};

/// Evaluation mode, samples in order; every batch has the same samples whatever the world size, so
/// the counts are equal too. A rank that fails makes all throw (comm/agree.hpp).
/// Collective: every rank of comm calls this, in the same order.
ClassificationCounts evaluate(const Network& network, const Dataset& dataset, Split split,
                              const Normalization& normalization, const EvaluateOptions& options,
                              Communicator& comm);

}  // namespace bitstill
