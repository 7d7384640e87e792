#include "bitstill/model/relu_norm.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <vector>

#include "custom_gradient.hpp"
#include "norm_parts.hpp"

namespace bitstill {
namespace {

PooledImages images_of(const at::Tensor& x) {
  return {x.size(0), x.size(2), x.size(3), x.size(1)};
}

/// The pooled values of x before the norm, and where in their windows they lay.
std::pair<at::Tensor, at::Tensor> pick(const at::Tensor& x, const at::Tensor& weight) {
  const PooledImages images = images_of(x);
  const auto options = x.options().memory_format(at::MemoryFormat::ChannelsLast);
  at::Tensor picked =
      at::empty({images.count, images.channels, images.height / 2, images.width / 2}, options);
  at::Tensor where = at::empty_like(picked, picked.options().dtype(at::kShort));
  std::vector<uint16_t> flip;  // where the scale is negative, the least value becomes the largest
  for (int64_t c = 0; c < images.channels; ++c) {
    flip.push_back(weight.const_data_ptr<float>()[c] < 0 ? 0x7FFF : 0);
  }
  at::parallel_for(0, images.count, 1, [&](int64_t begin, int64_t end) {
    PooledImages part = images;
    part.count = end - begin;
    const int64_t o = begin * images.pooled();
    relu_pool(bits(x) + begin * images.pixels(), part, flip.data(), bits(picked) + o,
              bits(where) + o);
  });
  return {picked, where};
}

std::vector<at::Tensor> backward(const std::vector<at::Tensor>& saved, const at::Tensor& given) {
  const at::Tensor &x = saved[0], &weight = saved[1], &statistics = saved[2];
  const at::Tensor &picked = saved[3], &where = saved[4];
  const bool pool = where.defined();
  const auto format = x.dim() == 2 ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  const at::Tensor dy = given.to(at::kBFloat16).contiguous(format);
  const int64_t channels = x.size(1);
  const float* const mean = statistics.const_data_ptr<float>();
  // Where nothing was picked, dy is 0.
  const auto sums =
      sums_over_parts(rows_of(pool ? picked : x), 2 * channels,
                      [&](const Bf16Rows& part, int64_t first, float* both) {
                        gradient_sums(part, bits(dy) + first, mean, both, both + channels);
                      });
  const auto count = static_cast<double>(std::max<int64_t>(1, x.numel() / channels));
  const at::Tensor by = gradient_coefficients(statistics, weight, sums, count);
  const float* const values = by.const_data_ptr<float>();
  const NormGradient rule{mean, values, values + channels, values + 2 * channels};
  at::Tensor dx = at::empty_like(x), dbias = at::empty_like(weight);
  std::copy_n(sums.data(), channels, dbias.mutable_data_ptr<float>());
  if (pool) {
    at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
      PooledImages part = images_of(x);
      part.count = end - begin;
      const int64_t i = begin * part.pixels(), o = begin * part.pooled();
      relu_norm_pool_gradient(bits(x) + i, part, bits(dy) + o, bits(where) + o, rule, bits(dx) + i);
    });
  } else {
    Parts(rows_of(x)).run([&](const Bf16Rows& part, int64_t first, int64_t) {
      relu_norm_gradient(part, bits(dy) + first, rule, bits(dx) + first);
    });
  }
  return {dx, by[3], dbias};
}

CustomResult forward(const at::Tensor& x, BatchNorm& norm, bool pool) {
  const at::Tensor &weight = norm.weight.value, &bias = norm.bias.value;
  const at::Tensor statistics = norm_statistics(rows_of(x), norm, relu_sums, relu_squares);
  at::Tensor picked = x, where;  // what is normalized
  if (pool) std::tie(picked, where) = pick(x, weight);
  at::Tensor y = at::empty_like(picked);
  const float* const mean = statistics.const_data_ptr<float>();
  const at::Tensor scale = statistics[1] * weight.detach();
  Parts(rows_of(picked)).run([&](const Bf16Rows& part, int64_t first, int64_t) {
    relu_normalize(part, mean, scale.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                   bits(y) + first);
  });
  return {y, {x, weight, statistics, pool ? picked : at::Tensor(), where}, backward};
}

}  // namespace

bool channels_fastest(const at::Tensor& x) {
  return x.dim() == 2 ? x.is_contiguous() : x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

bool takes_relu_norm(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && channels_fastest(x);
}

at::Tensor relu_norm(const at::Tensor& x, BatchNorm& norm, bool pool) {
  return custom_gradient({x, norm.weight.value, norm.bias.value},
                         [&] { return forward(x, norm, pool); });
}

}  // namespace bitstill
