// A network of sentences, asked for one target token after the other.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "bitstill/model/flow.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

/// What a decoder remembers of each hypothesis: the first dimension of every tensor counts them, so
/// index_select(0, ...) reorders, repeats and drops them.
using DecoderState = std::vector<at::Tensor>;

class StepDecoder {
 public:
  virtual ~StepDecoder() = default;
  /// Reads the sources; one hypothesis a sentence, in order. States of sources that were read
  /// before are of no use from then on.
  virtual DecoderState begin(const Tokens& sources) = 0;
  /// Takes each hypothesis' last id (first <s>), int64 [h], and leaves the state behind it.
  /// Logits of what follows: [h, target pieces] fp32. Of a hypothesis they do not depend on the
  /// others beside it.
  virtual at::Tensor next(DecoderState* state, const at::Tensor& last) = 0;
};

/// In fp32, or bf16 by autocast. The network outlives it, and its weights stay as they are.
/// Error(settings) for one of images.
std::unique_ptr<StepDecoder> make_step_decoder(const Network& network, bool bf16);

}  // namespace bitstill
