// A network whose layers sleep instead of computing, as on an accelerator that leaves the processor
// idle: what its step costs is known, and what an exchange hides behind it shows, also where ranks
// share cores. Parameters, gradients, hooks and messages are the real ones.
#pragma once

#include <memory>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/bench/step.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/piecewise.hpp"

namespace bitstill {

constexpr double kForwardShare = 0.5;  // of the backward pass's time; the teacher's too

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

/// `pieces` that sleep as `network`'s emulation does, `forward_ms` for all of them; their weights
/// are read, kept in slices and gathered as ever. Logits are zeros.
std::unique_ptr<Piecewise> emulate(std::unique_ptr<Piecewise> pieces, int64_t classes,
                                   double forward_ms);

/// Whether the step's teacher is of such pieces.
bool in_emulated_slices(const World& world, const BenchStepOptions& options);
/// `network` in slices. Collective: every rank of world calls this.
std::unique_ptr<Teacher> emulated_slices(World& world, const BenchStepOptions& options,
                                         std::unique_ptr<Network> network);

}  // namespace bitstill
