// oneDNN by LibTorch's dispatcher: operators without C++ functions of their own.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <vector>

#include "bitstill/model/program.hpp"

namespace bitstill {

constexpr int64_t kUsualBatch = 32;  // weights are laid out for it

at::Tensor onednn(const char* name, std::vector<c10::IValue> arguments, const char* overload = "");
/// Of a tensor that onednn() laid out for its own kernels.
int64_t onednn_bytes(const at::Tensor& tensor);

/// How oneDNN is asked for a convolution of x [n, C, height, width] in bf16 or on codes. Where the
/// strides leave a single column, or padding is wider than the image, it adds up what memory
/// happens to hold (LibTorch 2.11: with AMX forward, with AVX-512 in the weights' gradient). There
/// x has its padding before, and as many columns as the kernel, which no stride is needed for.
/// Of 16,000 other windows all were right but, with AMX, 4x4 ones with strides of 4 (which also
/// write where they should not); no network here has even kernels.
struct OnednnWindow {
  OnednnWindow(const Window& window, int64_t height, int64_t width);
  /// x itself, or with `zero` around it.
  at::Tensor pad(const at::Tensor& x, double zero = 0) const;

  std::vector<int64_t> margins;          // left, right, top, bottom; empty: none
  std::vector<int64_t> padding, stride;  // of rows, of columns
};

inline c10::IValue pair_of(int64_t value) {
  return std::vector<int64_t>{value, value};
}

/// The parameters that ReLU does not have.
inline c10::IValue no_scalars() {
  return c10::List<std::optional<at::Scalar>>();
}

inline const char* onednn_after(bool relu) {
  return relu ? "relu" : "none";
}

/// Weight [out, in] as onednn_linear() takes it.
at::Tensor onednn_linear_weight(const at::Tensor& weight);
/// x [n, in] -> [n, out]. For n > 1 a row's answer does not depend, to the bit, on the others.
at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         bool relu);

}  // namespace bitstill
