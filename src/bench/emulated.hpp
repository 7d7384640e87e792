// A network whose layers sleep instead of computing, as on an accelerator that leaves the processor
// idle: what its step costs is known, and what an exchange hides behind it shows, also where ranks
// share cores. Parameters, gradients, hooks and messages are the real ones.
#pragma once

#include <memory>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

/// A layer's time, of the forward and of the backward pass.
struct EmulatedLayer {
  double forward_ms = 0, backward_ms = 0;
  std::vector<int64_t> parameters;  // elements of each
};
Json to_json(const EmulatedLayer& layer);

/// The times of a network's units: the passes' divided by multiply-adds.
std::vector<EmulatedLayer> emulated_layers(const Network& network, double forward_ms,
                                           double backward_ms);

/// `network` with sleeping units: logits are zeros, gradients are zeros and complete unit by unit.
std::unique_ptr<Network> emulate(std::unique_ptr<Network> network,
                                 const std::vector<EmulatedLayer>& layers);

}  // namespace bitstill
