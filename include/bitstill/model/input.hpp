// Batches of bytes become tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/data/image_shape.hpp"
#include "bitstill/data/prefetch.hpp"

namespace bitstill {

/// [n, C, H, W] fp32 on `device`, normalized: (byte / 255 - mean) / deviation; channels-last when
/// asked.
at::Tensor to_input(const Batch& batch, const ImageShape& shape, const Normalization& normalization,
                    const at::Device& device, bool channels_last);
/// [n] int64 on `device`.
at::Tensor to_labels(const Batch& batch, const at::Device& device);

}  // namespace bitstill
