// A network over a split, the work divided over ranks: accuracy and loss, or everything there is to
// say of one model or of two. Samples in order, evaluation mode; every batch has the same samples
// whatever the world size, so all counts are equal too (at equal threads a rank). A rank that fails
// makes all throw (comm/agree.hpp).
#pragma once

#include <functional>
#include <optional>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/metrics/pairs.hpp"
#include "bitstill/metrics/tally.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

struct EvaluateOptions {
  int64_t batch = 100;  // samples a forward pass: batches are cut alike for every world size
  bool channels_last = true;
  at::Device device = at::kCPU;
  /// Called after each batch (false), and before waiting for the other ranks (true).
  std::function<void(bool waits)> progress;
};

/// Collective: every rank of comm calls this, in the same order.
ClassificationCounts evaluate(const Network& network, const Dataset& dataset, Split split,
                              const EvaluateOptions& options, Communicator& comm);

/// What `bitstill evaluate` says of a model, and of a reference on the same samples.
struct FullEvaluation {
  ClassificationTally model;
  struct Against {
    ClassificationTally reference;
    PairCounts pairs;
  };
  std::optional<Against> against;
};

/// Both models fit the shards (require_fits) and lie on options.device; reference may be null.
/// Collective: every rank of comm calls this, in the same order.
FullEvaluation evaluate_fully(const LoadedModel& model, const LoadedModel* reference,
                              const Dataset& dataset, Split split, const EvaluateOptions& options,
                              Communicator& comm);

}  // namespace bitstill
