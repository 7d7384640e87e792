// evaluate() on token shards.
#pragma once

#include "bitstill/infer/evaluate.hpp"

namespace bitstill {

/// This rank's part of the split. Batches are of sentences about as long, the same for every world
/// size. Collective: every rank of comm calls this, in the same order.
ClassificationCounts count_tokens(const Network& network, const Dataset& dataset, Split split,
                                  const EvaluateOptions& options, Communicator& comm);

}  // namespace bitstill
