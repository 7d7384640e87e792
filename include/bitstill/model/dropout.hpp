// Dropout whose masks depend on seeds alone: not on the device, nor on the number of threads.
#pragma once

#include <array>
#include <cstdint>

#include "bitstill/model/network.hpp"

namespace bitstill {

/// Blocks 0 to `blocks` of the stream (key, place) by a device's own operations, [blocks, 4] int64:
/// the numbers that philox() of base/random.hpp gives.
at::Tensor philox_blocks(const std::array<uint32_t, 2>& key, uint64_t place, int64_t blocks,
                         const at::Device& device);

/// Inverted dropout: 0 or 1 / (1 - rate) for each value, fp32, drawn from (mode.dropout_seed,
/// place) alone; undefined in evaluation or where rate = 0.
at::Tensor dropout_factors(at::IntArrayRef sizes, double rate, uint64_t place,
                           const ForwardMode& mode, const at::Device& device);

/// x [n, C, ...] times factors, one a sample and channel; x where there are none.
at::Tensor dropout(const at::Tensor& x, double rate, uint64_t unit, const ForwardMode& mode);

/// The same of x [n, C, H, W], one number a value.
at::Tensor element_dropout(const at::Tensor& x, double rate, uint64_t unit,
                           const ForwardMode& mode);

}  // namespace bitstill
