// Fast convolution for inference: Winograd's minimal filtering (Lavin and Gray 2016) in fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/model/affine_layer.hpp"

namespace bitstill {

/// A convolution of 3x3 or 5x5 (same padding, stride 1) with its ReLU and pool. A 3x3 one takes 36
/// multiplications for 16 outputs instead of 144, a 5x5 one 36 for 4 instead of 100. What an image
/// becomes does not depend, to the bit, on the others of its batch nor on the number of threads.
///
/// Error: against exact arithmetic a few 1e-6 of the largest output, about ten times a direct fp32
/// convolution's.
class WinogradConvolution {
 public:
  static bool takes(const AffineLayer& layer);
  /// `layer`: fp32, with neither scale nor shift.
  explicit WinogradConvolution(const AffineLayer& layer);

  /// x [n, in, H, W] fp32 -> [n, out, H, W], or halved and rounded down where pooled: a view of
  /// channels-last memory whose pixels are padded to whole vectors. Such an x is not copied.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  at::Tensor weight_, bias_;  // as WinogradRun wants them
  int64_t inputs_, outputs_, side_;
  bool relu_, pool_;
};

}  // namespace bitstill
