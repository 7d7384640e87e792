// An LSTM layer over a sequence as one node of the graph.
#pragma once

#include "recurrent_parts.hpp"

namespace bitstill {

/// lstm_over() from `first` (h and c, fp32; undefined: 0), for x that takes_products(). lengths [n]
/// on the CPU: real positions of each sentence; undefined: all. Leaves the last state.
at::Tensor lstm_node(const LstmLayer& layer, const at::Tensor& x, const at::Tensor& lengths,
                     bool backward, const LstmState& first, LstmState* last);

}  // namespace bitstill
