// Inference unit by unit, each unit one piece: of networks that cannot be folded, and on GPUs.
#pragma once

#include <memory>

#include "bitstill/model/network.hpp"
#include "bitstill/model/piecewise.hpp"

namespace bitstill {

/// `skeleton` gives names, shapes and forwards; its values may be none (make_skeleton). A piece's
/// plain form, its parameters and buffers in fp32, is what its unit runs with: nothing is made
/// ready. bf16: LibTorch's mixed precision. `device`: where plain forms and inputs lie.
std::unique_ptr<Piecewise> make_unit_pieces(std::unique_ptr<Network> skeleton, bool bf16,
                                            const at::Device& device);

}  // namespace bitstill
