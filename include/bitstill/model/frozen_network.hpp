// A network for inference alone: norms folded, weights laid out for the processor, 8-bit by choice.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/model/network.hpp"

namespace bitstill {

class FrozenProgram;
struct ReadyRows;

enum class InferencePrecision { fp32, bf16, int8 };
/// "fp32", "bf16", "int8".
const char* precision_name(InferencePrecision precision);

/// How the output rows of a layer are computed by oneDNN: all at once, or in runs of 256, whichever
/// of them are asked for. It does not promise that a part of the rows becomes what all at once do
/// (seen to differ with AMX); in fixed runs it is the same call, so a network whole and one in
/// pieces answer alike.
enum class RowRuns { as_processor, whole, fixed };
/// What as_processor means: whole, unless a small random network answers otherwise in fixed runs.
/// Found once a process, in a tenth of a second.
RowRuns row_runs_here(InferencePrecision precision);

/// On the CPU. Ready after construction; forward() is const and keeps nothing.
class FrozenNetwork {
 public:
  /// `sample` [n, C, H, W] fp32, normalized: for int8 it shows how large each layer's answers
  /// become (a few hundred images, the same on all ranks). Null, with the reason in `obstacle`,
  /// where the network cannot be described or folded (program.hpp), is not on the CPU or has
  /// nothing for this precision, LibTorch lacks oneDNN, or the processor the instructions. What
  /// else goes wrong throws.
  static std::unique_ptr<FrozenNetwork> make(const Network& network, InferencePrecision precision,
                                             const at::Tensor& sample, std::string* obstacle,
                                             RowRuns runs = RowRuns::as_processor);
  ~FrozenNetwork();

  InferencePrecision precision() const { return precision_; }

  /// x [n, C, H, W] fp32 (n = 0 allowed) -> logits [n, classes] fp32. A sample's logits do not
  /// depend on the others of its batch, to the bit.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  FrozenNetwork(std::unique_ptr<const FrozenProgram> program, InferencePrecision precision,
                int64_t classes);

  std::unique_ptr<const FrozenProgram> program_;
  std::vector<std::vector<ReadyRows>> ready_;  // by layer
  InferencePrecision precision_;
  int64_t classes_;
};

}  // namespace bitstill
