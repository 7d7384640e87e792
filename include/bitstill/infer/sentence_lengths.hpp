// Lengths of a split's sentences on every rank.
#pragma once

#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"

namespace bitstill {

/// Dataset::lengths, read by rank 0 alone. Collective: every rank of comm calls this.
std::vector<SentenceLengths> lengths_for_all(const Dataset& dataset, Split split,
                                             Communicator& comm);

}  // namespace bitstill
