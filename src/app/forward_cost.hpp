// What an image costs, for --dry-run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

struct ForwardCost {
  int64_t multiply_adds = 0;  // counted directly, whatever the kernels save
  int64_t value_bytes = 0;    // of values that are held at once, at most
};

/// Compiled for inference; none where it cannot be. Names and shapes of the network suffice.
std::optional<ForwardCost> inference_cost(const Network& network, InferencePrecision precision);
/// Of a forward pass before a backward one, for which every value is held; none where the network
/// cannot be described (model/program.hpp).
std::optional<ForwardCost> training_cost(const Network& network, bool bf16);

/// "1.2e+06 multiply-adds an image; values of 16 images 3.4 MB".
std::string to_text(const ForwardCost& cost, int64_t images);

}  // namespace bitstill
