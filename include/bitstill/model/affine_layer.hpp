// A network as a chain of affine layers, for inference alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "bitstill/model/network.hpp"

namespace bitstill {

/// Convolution (same padding, stride 1) or linear layer [-> ReLU -> norm [-> 2x2 max-pool]]. Values
/// are fp32 on the CPU.
struct AffineLayer {
  at::Tensor weight;        // [out, in, k, k] or [out, in]
  at::Tensor bias;          // [out]
  bool relu = false;        // the last layer of a network has none
  at::Tensor scale, shift;  // [out]: ReLU's answer r becomes r scale + shift; undefined: r
  bool pool = false;

  bool convolution() const { return weight.dim() == 4; }
};

/// The network's layers with every norm moved into the layer after it, so that none has scale and
/// shift any more: weights take the scale, a linear layer's bias the shift. A convolution's padding
/// is zero after the norm, so there the shift comes as one more input channel, which is 1 inside
/// the image: the layer before makes it as one more output channel. Exact but for rounding. Where
/// it cannot be done there are no layers, and `obstacle` says why: units of another kind, a norm
/// after the last layer, a scale below zero before a pool.
struct FoldedNetwork {
  std::vector<AffineLayer> layers;
  std::string obstacle;
};
FoldedNetwork fold_norms(const Network& network);

}  // namespace bitstill
