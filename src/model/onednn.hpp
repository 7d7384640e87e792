// oneDNN by LibTorch's dispatcher: operators without C++ functions of their own.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <vector>

namespace bitstill {

constexpr int64_t kUsualBatch = 32;  // weights are laid out for it

at::Tensor onednn(const char* name, std::vector<c10::IValue> arguments, const char* overload = "");
/// Of a tensor that onednn() laid out for its own kernels.
int64_t onednn_bytes(const at::Tensor& tensor);

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
