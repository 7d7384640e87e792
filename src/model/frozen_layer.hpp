// One convolution, linear layer or norm of a folded program, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "bitstill/model/code_scales.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "folded_rows.hpp"
#include "onednn.hpp"

namespace bitstill {

constexpr int64_t kRowRun = 256;  // of RowRuns::fixed; pieces are multiples of it

/// Weights of some rows as the kernels take them.
struct ReadyRows {
  at::Tensor weight, bias;
  at::Tensor scale, zero;  // of 8-bit weights
};

/// A layer's weights have two forms. Plain: folded, in the type that is computed in; small, and its
/// rows are together, so it can be stored in slices and sent. Ready: as the kernels want them. What
/// a row answers does not depend, to the bit, on the rows that are made ready with it: where the
/// processor breaks that, RowRuns::fixed keeps it for multiples of kRowRun.
class FrozenLayer {
 public:
  /// `folded` must outlive the layer. `type`: of weights and values where they are not codes.
  /// `codes`: of what comes in; null where it is none. `runs`: whole or fixed.
  static std::unique_ptr<FrozenLayer> make(const Program& folded, const Operation& layer,
                                           at::ScalarType type, const LayerCodes* codes,
                                           RowRuns runs);
  virtual ~FrozenLayer() = default;

  int64_t rows() const { return size_.out; }
  /// Channels that its answers take in memory.
  virtual int64_t stored_rows() const { return rows(); }
  /// The fewest rows that take `plain_bytes`; a multiple of what the kernels like, at most rows().
  int64_t rows_at_once(int64_t plain_bytes) const;
  int64_t plain_bytes(int64_t rows) const;
  virtual int64_t ready_bytes(int64_t rows) const;
  /// Of one sample's rows.
  int64_t multiply_adds(int64_t rows) const;

  /// Plain from tensors: `plain` [plain_bytes(rows.count)], aligned to 64.
  void read(RowRange rows, TensorSource& source, void* plain) const;
  /// Of one run after the other. Keeps nothing of `plain`.
  std::vector<ReadyRows> make_ready(const void* plain, int64_t rows) const;
  /// The input as run() wants it: x itself, or a copy.
  virtual at::Tensor input(const at::Tensor& x) const = 0;
  /// Of a layer that adds: y as the first run() takes it. Writes `value` itself where it may.
  virtual at::Tensor addend(const at::Tensor& value, bool may_write) const;
  /// Puts these rows into y, which the first of them makes, or adds to them where the layer adds.
  /// `ready`: of make_ready().
  void run(std::span<const ReadyRows> ready, RowRange rows, const at::Tensor& x,
           at::Tensor* y) const;

 protected:
  struct Section {
    std::vector<int64_t> sizes;
    at::ScalarType type;
  };
  using Tensors = std::vector<at::Tensor>;

  FrozenLayer(const Program& folded, const Operation& layer, LayerCodes codes, RowRuns runs);
  FrozenLayer(const FrozenLayer&) = delete;
  FrozenLayer& operator=(const FrozenLayer&) = delete;
  /// What the plain form is made of: weight, bias [, ...]. With fixed runs all begin with rows.
  virtual std::vector<Section> sections(int64_t rows) const = 0;
  virtual int64_t row_multiple() const { return kRowRun; }
  /// `plain` is zero before.
  virtual void write(const FoldedRows& rows, const Tensors& plain) const = 0;
  virtual ReadyRows prepare(const Tensors& plain, int64_t rows) const = 0;
  virtual void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                        at::Tensor* y) const = 0;
  /// Puts an answer that has these rows alone into y.
  void put(const at::Tensor& answer, RowRange rows, at::Tensor* y) const;
  /// These rows of y, in memory of their own where they are not all.
  at::Tensor take(RowRange rows, const at::Tensor& y) const;

  OnednnWindow window() const;  // of a convolution
  /// Of a convolution's usual batch, padded.
  std::vector<int64_t> input_sizes(const OnednnWindow& window) const;

  Operation layer_;
  LayerSize size_;
  LayerCodes codes_;

 private:
  Tensors views(const void* plain, int64_t rows) const;
  int64_t run_length(int64_t rows) const;

  const Program& folded_;
  RowRuns runs_;
};

/// Norms that stayed.
std::unique_ptr<FrozenLayer> make_norm_layer(const Program& folded, const Operation& layer,
                                             LayerCodes codes);
/// Convolutions on 8-bit codes.
std::unique_ptr<FrozenLayer> make_code_layer(const Program& folded, const Operation& layer,
                                             LayerCodes codes, RowRuns runs);

}  // namespace bitstill
