#include "product.hpp"

#include <ATen/autocast_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

#include "frozen_program.hpp"
#include "onednn.hpp"

namespace bitstill {

at::ScalarType product_type() {
  return at::autocast::is_autocast_enabled(at::kCPU) ? at::kBFloat16 : at::kFloat;
}

bool takes_products(const at::Tensor& x) {
  const auto precision =
      product_type() == at::kFloat ? InferencePrecision::fp32 : InferencePrecision::bf16;
  return x.is_cpu() && x.numel() > 0 && obstacle_here(precision).empty();
}

Product::Product(const at::Tensor& weight, at::ScalarType type)
    : weight_(onednn_linear_weight(weight.detach().to(type).contiguous())) {}

at::Tensor Product::operator()(const at::Tensor& x, const at::Tensor& bias, bool relu) const {
  return onednn_linear(x, weight_, bias, relu);
}

at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x) {
  return at::mm(dy.t(), x).to(at::kFloat);
}

at::Tensor bias_gradient(const at::Tensor& dy) {
  return at::sum(dy, {0}, false, at::kFloat);
}

}  // namespace bitstill
