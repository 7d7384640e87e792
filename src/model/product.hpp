// Matrix products of recurrent networks on the CPU, in fp32 or bf16.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitstill {

/// Whether x goes through this file's products: on the CPU, with oneDNN, in bf16 (autocast) where
/// the processor has it.
bool takes_products(const at::Tensor& x);
/// What autocast asks for.
at::ScalarType product_type();

/// x W^T by oneDNN, for a weight that many steps multiply by: it is laid out once.
class Product {
 public:
  /// weight [out, in].
  Product(const at::Tensor& weight, at::ScalarType type);
  /// x [n, in] of that type -> [n, out] of that type [+ bias] [behind ReLU]. For n > 1 a row's
  /// answer does not depend, to the bit, on the others.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias = {}, bool relu = false) const;

 private:
  at::Tensor weight_;
};

/// The gradient of W behind y = x W^T: dy^T x, fp32. dy [n, out] and x [n, in], of one type.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x);
/// The gradient of a bias: dy's sum over its rows, fp32.
at::Tensor bias_gradient(const at::Tensor& dy);

}  // namespace bitstill
