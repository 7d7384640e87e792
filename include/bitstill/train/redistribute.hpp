// Points to the tensors whose gradients are largest, before learning starts.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/quant/options.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// 2-norms of each parameter's mean gradient over 5 batches of train.global_batch training samples,
/// plain cross-entropy in full precision, no augmentation, no dropout; micro-batches are divided
/// over ranks, the result is the same for any world size. The network is not trainable afterwards.
/// Collective: every rank of comm calls this, in the same order.
std::vector<double> gradient_norms(Network& network, const Dataset& dataset,
                                   const TrainOptions& train, const EvaluateOptions& evaluate,
                                   Communicator& comm);

/// The points of each parameter of `network` in order (0: fp32) under quant.redistribute, from
/// gradient_norms().
/// Collective: every rank of comm calls this, in the same order.
std::vector<int64_t> redistributed_points(Network& network, const QuantOptions& options,
                                          const Dataset& dataset, const TrainOptions& train,
                                          const EvaluateOptions& evaluate, Communicator& comm);

}  // namespace bitstill
