// Step decoders of the networks that transformers() builds.
#pragma once

#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

/// On the CPU with oneDNN every weight is laid out once, and a hypothesis' answers do not depend,
/// to the bit, on the others; elsewhere plain_transformer_decoder().
std::unique_ptr<StepDecoder> transformer_step_decoder(const Network& network, bool bf16);

/// By the operators of the units, on any device.
std::unique_ptr<StepDecoder> plain_transformer_decoder(const Network& network, bool bf16);

}  // namespace bitstill
