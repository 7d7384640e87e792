// Fast convolution for inference: Winograd's minimal filtering (Lavin and Gray 2016) in fp32.
#pragma once

#include "frozen_layer.hpp"

namespace bitstill {

/// A convolution of 3x3 or 5x5 (same padding, stride 1) with its sum, ReLU and pool. A 3x3 one
/// takes 36 multiplications for 16 outputs instead of 144, a 5x5 one 36 for 4 instead of 100. What
/// an image becomes does not depend, to the bit, on the others of its batch nor on the number of
/// threads.
///
/// Ready weights take 4 times the memory of plain ones for 3x3 kernels, 1.44 times for 5x5. Error
/// against exact arithmetic, in the mean square: 2e-7 to 6e-7 of the outputs' (a direct fp32
/// convolution: 1e-7 with 3 channels, 2e-7 to 5e-7 with fifty and more).
///
/// It makes [n, out, H, W], or halved and rounded down where pooled: a view of channels-last
/// memory whose pixels are padded to whole vectors. Such an input is not copied.
class WinogradLayer : public FrozenLayer {
 public:
  WinogradLayer(const Program& folded, const Operation& layer);
  /// Not where images are smaller than a tile, of which most would be computed in vain.
  static bool takes(const Program& folded, const Operation& layer);

  int64_t stored_rows() const override;
  int64_t ready_bytes(int64_t rows) const override;
  at::Tensor input(const at::Tensor& x) const override;
  at::Tensor addend(const at::Tensor& value, bool may_write) const override;

 private:
  std::vector<Section> sections(int64_t rows) const override;
  int64_t row_multiple() const override;
  void write(const FoldedRows& rows, const Tensors& plain) const override;
  ReadyRows prepare(const Tensors& plain, int64_t rows) const override;
  void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                at::Tensor* y) const override;
};

}  // namespace bitstill
