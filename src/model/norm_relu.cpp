#include "bitstill/model/norm_relu.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>

#include "custom_gradient.hpp"
#include "norm_parts.hpp"

namespace bitstill {
namespace {

std::vector<at::Tensor> backward(const std::vector<at::Tensor>& saved, const at::Tensor& given,
                                 bool added) {
  const at::Tensor &x = saved[0], &weight = saved[1], &statistics = saved[2], &y = saved[3];
  const auto format = x.dim() == 2 ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  const at::Tensor dy = given.to(at::kBFloat16).contiguous(format);
  const int64_t channels = x.size(1);
  const float* const mean = statistics.const_data_ptr<float>();
  const auto sums = sums_over_parts(
      rows_of(x), 2 * channels, [&](const Bf16Rows& part, int64_t first, float* both) {
        normalize_relu_sums(part, bits(y) + first, bits(dy) + first, mean, both, both + channels);
      });
  const auto count = static_cast<double>(std::max<int64_t>(1, x.numel() / channels));
  const at::Tensor by = gradient_coefficients(statistics, weight, sums, count);
  const float* const values = by.const_data_ptr<float>();
  const NormGradient rule{mean, values, values + channels, values + 2 * channels};
  at::Tensor dx = at::empty_like(x), dbias = at::empty_like(weight), dadded;
  if (added) dadded = at::empty_like(x);
  std::copy_n(sums.data(), channels, dbias.mutable_data_ptr<float>());
  Parts(rows_of(x)).run([&](const Bf16Rows& part, int64_t first, int64_t) {
    normalize_relu_gradient(part, bits(y) + first, bits(dy) + first, rule, bits(dx) + first,
                            added ? bits(dadded) + first : nullptr);
  });
  std::vector<at::Tensor> of_inputs = {dx, by[3], dbias};
  if (added) of_inputs.push_back(dadded);
  return of_inputs;
}

CustomResult forward(const at::Tensor& x, BatchNorm& norm, const at::Tensor& added) {
  const at::Tensor &weight = norm.weight.value, &bias = norm.bias.value;
  const at::Tensor statistics = norm_statistics(rows_of(x), norm, plain_sums, plain_squares);
  at::Tensor y = at::empty_like(x);
  const float* const mean = statistics.const_data_ptr<float>();
  const at::Tensor scale = statistics[1] * weight.detach();
  const bool adds = added.defined();
  Parts(rows_of(x)).run([&](const Bf16Rows& part, int64_t first, int64_t) {
    normalize_relu(part, mean, scale.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                   adds ? bits(added) + first : nullptr, bits(y) + first);
  });
  return {y,
          {x, weight, statistics, y},
          [adds](const std::vector<at::Tensor>& saved, const at::Tensor& dy) {
            return backward(saved, dy, adds);
          }};
}

}  // namespace

at::Tensor norm_relu(const at::Tensor& x, BatchNorm& norm, const at::Tensor& added) {
  std::vector<at::Tensor> inputs = {x, norm.weight.value, norm.bias.value};
  if (added.defined()) inputs.push_back(added);
  return custom_gradient(inputs, [&] { return forward(x, norm, added); });
}

}  // namespace bitstill
