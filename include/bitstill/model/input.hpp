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

/// The classes of a batch's images, [n] int64 each.
struct Labels {
  at::Tensor own, partners = {};  // what was mixed into the images; undefined: nothing
  double share = 1;               // of own; the partners have the rest
};
/// On `device`.
Labels to_labels(const Batch& batch, const at::Device& device);

}  // namespace bitstill
