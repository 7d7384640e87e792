// The decoder with input feeding as one node of the graph: the targets' half of the first layer's
// gates is one product over all steps, [output, h] one product a step, and each weight's gradient
// one product a sequence.
#pragma once

#include "recurrent_parts.hpp"

namespace bitstill {

/// decode_stepwise() for weights with input feeding and x that takes_products(). memory
/// [S, n, size], 0 where it is padding; lengths [n] of the sources on the CPU.
at::Tensor decoder_node(const DecoderWeights& weights, const at::Tensor& memory,
                        const at::Tensor& lengths, const at::Tensor& x, const at::Tensor& summary,
                        const DecoderDropout& dropout);

}  // namespace bitstill
