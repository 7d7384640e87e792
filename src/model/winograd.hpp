// Fast convolution for inference: Winograd's minimal filtering (Lavin and Gray 2016) in fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include "bitstill/model/affine_layer.hpp"

namespace bitstill {

/// A convolution of 3x3 or 5x5 (same padding, stride 1) with its ReLU and pool. A 3x3 one takes 36
/// multiplications for 16 outputs instead of 144, a 5x5 one 36 for 4 instead of 100. What an image
/// becomes does not depend, to the bit, on the others of its batch nor on the number of threads.
///
/// Weights take 4 times the memory of a 3x3 kernel's, 1.44 times of a 5x5 one's. Error against
/// exact arithmetic, in the mean square: 2e-7 to 6e-7 of the outputs' (a direct fp32 convolution:
/// 1e-7 with 3 channels, 2e-7 to 5e-7 with fifty and more).
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
