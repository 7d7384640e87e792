// A network compiled for inference, its 8-bit ranges found on the shards.
#pragma once

#include <memory>
#include <string>

#include "bitstill/data/dataset.hpp"
#include "bitstill/model/frozen_network.hpp"

namespace bitstill {

/// Ranges come from the first 512 images of the first split that has any, so equal on all ranks.
/// Null, with the reason in `obstacle`, where FrozenNetwork::make is.
std::unique_ptr<FrozenNetwork> freeze(const Network& network, InferencePrecision precision,
                                      const Dataset& dataset, std::string* obstacle);

/// What is fastest of fp32 and, where `bf16` is good enough, bf16: Winograd's fp32 is faster than
/// bf16 without AMX, the processor's matrix unit.
InferencePrecision fastest_precision(bool bf16);

/// "fp32", "bf16", "int8". Error(settings) naming `setting` for another word.
InferencePrecision inference_precision(const std::string& word, const std::string& setting);

}  // namespace bitstill
