#pragma once

#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

/// Of a network that recurrent() built.
std::unique_ptr<StepDecoder> recurrent_step_decoder(const Network& network, bool bf16);

}  // namespace bitstill
