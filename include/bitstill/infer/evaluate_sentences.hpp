// A network of sentences over a split: its loss and accuracy on target tokens.
#pragma once

#include "bitstill/infer/evaluate.hpp"

namespace bitstill {

/// What evaluate() does on token shards. `samples` are target tokens, each sentence's end among
/// them; perplexity() of it is the model's. Batches are of sentences about as long, the same for
/// every world size. Collective: every rank of comm calls this, in the same order.
ClassificationCounts evaluate_sentences(const Network& network, const Dataset& dataset, Split split,
                                        const EvaluateOptions& options, Communicator& comm);

}  // namespace bitstill
