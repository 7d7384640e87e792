// Step decoders of the networks that recurrent() builds.
#pragma once

#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

/// On the CPU with oneDNN every weight is laid out once, and a hypothesis' answers do not depend,
/// to the bit, on the others; elsewhere plain_step_decoder().
std::unique_ptr<StepDecoder> recurrent_step_decoder(const Network& network, bool bf16);

/// By decoder_step(), on any device.
std::unique_ptr<StepDecoder> plain_step_decoder(const Network& network, bool bf16);

}  // namespace bitstill
