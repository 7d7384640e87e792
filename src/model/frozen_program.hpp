// A folded program, ready to be computed on the CPU; who holds its weights is another's affair.
#pragma once

#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/piecewise.hpp"
#include "frozen_layer.hpp"

namespace bitstill {

/// Neither a graph nor mixed precision, whatever held before.
class InferenceScope {
  const at::NoGradGuard no_grad_;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast_{c10::autocast_dispatch_keyset};
};

/// Why this machine cannot compute in the precision; else empty.
std::string obstacle_here(InferencePrecision precision);

/// The network's program, folded; its obstacle is also that it cannot be described or, for int8,
/// run on codes.
FoldedProgram folded_program(const Network& network, InferencePrecision precision);

/// Error(data) where x is no batch [n, C, H, W] of the program's images.
void check_input(const Program& program, const at::Tensor& x);

class FrozenProgram {
 public:
  /// `scales`: of int8; empty where only sizes are asked for.
  FrozenProgram(Program folded, InferencePrecision precision, CodeScales scales, RowRuns runs);

  std::size_t layers() const { return layer_steps_.size(); }
  const FrozenLayer& layer(std::size_t i) const { return *steps_[layer_steps_[i]].layer; }
  /// Of its weight tensor.
  const std::string& name(std::size_t i) const;

  /// Of one sample's values that are held while layer i runs, its output included.
  int64_t value_bytes(std::size_t i) const;

  /// x [n, C, H, W] fp32, n > 0; errors as check_input().
  PassState begin(const at::Tensor& x) const;
  /// Runs rows of layer i, and after its last ones what follows without weights.
  void run(std::size_t i, std::span<const ReadyRows> ready, RowRange rows, PassState* state) const;
  /// Logits fp32 [n, classes]; where n is 1, the same row twice.
  at::Tensor finish(PassState&& state) const;

 private:
  struct Step {
    Operation operation;
    std::unique_ptr<FrozenLayer> layer;  // null without weights
    std::vector<int> done;               // values that nobody reads after it
    /// The answer takes the place of the value that is added, which nobody reads after it.
    bool replaces = false;
  };
  void run_between(std::size_t step, PassState* state) const;  // up to the next layer
  at::Tensor enter(const at::Tensor& x) const;

  std::unique_ptr<const Program> folded_;  // layers refer to it
  std::vector<Step> steps_;
  std::vector<std::size_t> layer_steps_;
  at::ScalarType type_;              // of values that are not codes
  std::optional<LayerCodes> codes_;  // of the input
  std::vector<bool> are_codes_;      // by value
};

}  // namespace bitstill
