// Points to the tensors whose gradients are largest, before learning starts.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/quant/options.hpp"

namespace bitstill {

/// The points of each parameter of `network` in order (0: fp32) under quant.redistribute: from the
/// 2-norms of its mean gradient over 5 batches of `batch` training samples, plain cross-entropy in
/// full precision, no augmentation, no dropout. Rank 0's numbers count on all ranks.
/// Collective: every rank of comm calls this, in the same order.
std::vector<int64_t> redistributed_points(Network& network, const QuantOptions& options,
                                          const Dataset& dataset,
                                          const Normalization& normalization, int64_t batch,
                                          const EvaluateOptions& evaluate, Communicator& comm);

}  // namespace bitstill
