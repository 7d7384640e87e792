// A network over a split, the work divided over ranks: accuracy and loss, or everything there is to
// say of one model or of two. Samples in order, evaluation mode; every batch has the same samples
// whatever the world size, so all counts are equal too (at equal threads a rank). A rank that fails
// makes all throw (comm/agree.hpp).
#pragma once

#include <functional>
#include <optional>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/metrics/pairs.hpp"
#include "bitstill/metrics/tally.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/predictor.hpp"

namespace bitstill {

struct EvaluateOptions {
  int64_t batch = 100;  // samples a forward pass: batches are cut alike for every world size
  int64_t sweep = 8;    // batches that are asked about at once where ranks answer together
  bool channels_last = true;
  at::Device device = at::kCPU;
  /// Called after each batch (false), and before waiting for the other ranks (true).
  std::function<void(bool waits)> progress;
};

/// Of a network of sentences, on token shards, `samples` are target tokens, each sentence's end
/// among them, and perplexity() is the model's. Collective: every rank of comm calls this, in the
/// same order.
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

/// Both fit the shards and compute on options.device; reference may be null. Where one of them is
/// collective, a rank whose samples cannot be read goes on without them, and then all throw.
/// Collective: every rank of comm calls this, in the same order.
FullEvaluation evaluate_fully(Predictor& model, Predictor* reference, const Dataset& dataset,
                              Split split, const EvaluateOptions& options, Communicator& comm);

}  // namespace bitstill
