#include "bitstill/model/batch_norm.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "bitstill/model/norm_relu.hpp"
#include "bitstill/model/relu_norm.hpp"
#include "custom_gradient.hpp"

namespace bitstill {
namespace {

at::Tensor over_batch(const at::Tensor& x) {  // [n, C, ...] -> [C]
  return x.dim() == 2 ? x.sum(0) : x.sum(at::IntArrayRef{0, 2, 3});
}

at::Tensor by_channel(const at::Tensor& values, const at::Tensor& like) {  // [C] -> [1, C, 1, 1]
  return like.dim() == 2 ? values.view({1, -1}) : values.view({1, -1, 1, 1});
}

using SumOverRanks = std::function<void(at::Tensor&)>;
using Gradients = std::vector<at::Tensor>;  // of x, weight, bias

/// Gradients of weight and bias are this rank's share; the trainer's exchange adds them.
Gradients synchronized_backward(const std::vector<at::Tensor>& saved, const at::Tensor& given,
                                double count, const SumOverRanks& sum_over_ranks) {
  const at::Tensor &normal = saved[0], &weight = saved[1], &inverse = saved[2];
  const at::Tensor dy = given.to(at::kFloat);
  const int64_t channels = normal.size(1);
  const at::Tensor dbias = over_batch(dy), dweight = over_batch(dy.mul(normal));
  const std::vector<at::Tensor> parts = {dbias, dweight};
  at::Tensor sums = at::cat(at::TensorList(parts));
  sum_over_ranks(sums);
  sums.div_(count);
  const at::Tensor dx = dy.sub(by_channel(sums.narrow(0, 0, channels), dy))
                            .sub_(normal.mul(by_channel(sums.narrow(0, channels, channels), dy)))
                            .mul_(by_channel(weight.mul(inverse), dy));
  return {dx.to(given.scalar_type()), dweight, dbias};
}

/// Normalizes by the statistics of all ranks' batches.
CustomResult synchronized_forward(const at::Tensor& x, BatchNorm& norm,
                                  const SumOverRanks& sum_over_ranks) {
  // Sums of deviations from the running mean, which every rank has alike: sums of plain squares
  // would cancel where the mean is large against the deviation.
  const at::Tensor shift = norm.mean.value;
  const at::Tensor deviation = x.to(at::kFloat).sub(by_channel(shift, x));
  const int64_t channels = x.size(1), local = x.numel() / channels;
  const std::vector<at::Tensor> parts = {over_batch(deviation), over_batch(deviation.square()),
                                         at::full({1}, local, shift.options())};
  at::Tensor sums = at::cat(at::TensorList(parts));
  sum_over_ranks(sums);
  const double count = std::max(1.0, sums[2 * channels].item<double>());
  const at::Tensor offset = sums.narrow(0, 0, channels).div(count);
  const at::Tensor variance =
      sums.narrow(0, channels, channels).div(count).sub(offset.square()).clamp_min(0);
  norm.mean.statistics.copy_(shift.add(offset));
  norm.variance.statistics.copy_(variance.mul(count / std::max(1.0, count - 1)));

  const at::Tensor &weight = norm.weight.value, &bias = norm.bias.value;
  const at::Tensor inverse = variance.add(BatchNorm::kEpsilon).rsqrt();
  const at::Tensor normal = deviation.sub(by_channel(offset, x)).mul_(by_channel(inverse, x));
  const at::Tensor y = normal.mul(by_channel(weight, x)).add_(by_channel(bias, x));
  return {y.to(x.scalar_type()),
          {normal, weight, inverse},
          [count, sum_over_ranks](const std::vector<at::Tensor>& saved, const at::Tensor& dy) {
            return synchronized_backward(saved, dy, count, sum_over_ranks);
          }};
}

/// x = ReLU(x), normalized by the running statistics, where the channel varies fastest. One pass.
void relu_normalize(at::Tensor& x, const BatchNorm& norm) {
  // Few channels would make short inner loops: repeat them to a period of at least 64.
  const int64_t channels = x.size(1), times = 63 / channels + 1, period = times * channels;
  const auto [one_scale, one_shift] = norm.scale_and_shift();
  const at::Tensor scale = one_scale.repeat({times}), shift = one_shift.repeat({times});
  float* const values = x.mutable_data_ptr<float>();
  const int64_t count = x.numel(), grain = std::max<int64_t>(1, 32768 / period);
  at::parallel_for(0, (count + period - 1) / period, grain, [&](int64_t begin, int64_t end) {
    const float* by = scale.const_data_ptr<float>();
    const float* plus = shift.const_data_ptr<float>();
    for (int64_t block = begin; block < end; ++block) {
      float* const v = values + block * period;
      const int64_t size = std::min(period, count - block * period);
      // Not max(): a NaN must stay one.
      for (int64_t i = 0; i < size; ++i) v[i] = (v[i] < 0 ? 0.0f : v[i]) * by[i] + plus[i];
    }
  });
}

}  // namespace

BatchNorm::BatchNorm(const std::string& prefix, int64_t channels, const c10::Device& device) {
  const auto zeros = [&] { return at::zeros({channels}, device); };
  const auto ones = [&] { return at::ones({channels}, device); };
  weight = {prefix + ".weight", ParameterRole::norm, ones()};
  bias = {prefix + ".bias", ParameterRole::norm, zeros()};
  mean = {prefix + ".running_mean", zeros(), zeros()};
  variance = {prefix + ".running_var", ones(), zeros()};
}

std::pair<at::Tensor, at::Tensor> BatchNorm::scale_and_shift() const {
  const at::Tensor scale = weight.value.detach() / (variance.value + kEpsilon).sqrt();
  return {scale, bias.value.detach() - mean.value * scale};
}

NormNames BatchNorm::names() const {
  return {weight.name, bias.name, mean.name, variance.name, kEpsilon};
}

at::Tensor BatchNorm::forward_relu(at::Tensor& x, const ForwardMode& mode, bool pool) {
  if (mode.training && !mode.sum_over_ranks && takes_relu_norm(x)) {
    return relu_norm(x, *this, pool);
  }
  const bool graph =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.value.requires_grad());
  if (mode.training || graph || !channels_fastest(x) || !x.is_cpu() ||
      x.scalar_type() != at::kFloat) {
    const at::Tensor y = forward(at::relu_(x), mode);
    return pool ? at::max_pool2d(y, 2) : y;
  }
  relu_normalize(x, *this);
  return pool ? at::max_pool2d(x, 2) : x;
}

at::Tensor BatchNorm::forward_add_relu(const at::Tensor& x, const at::Tensor& added,
                                       const ForwardMode& mode) {
  const bool same = !added.defined() || (takes_relu_norm(added) && added.sizes() == x.sizes());
  if (mode.training && !mode.sum_over_ranks && takes_relu_norm(x) && same) {
    return norm_relu(x, *this, added);
  }
  at::Tensor y = forward(x, mode);
  if (added.defined()) y = y.add(added);
  return at::relu_(y);
}

at::Tensor BatchNorm::forward(const at::Tensor& x, const ForwardMode& mode) {
  if (mode.training && mode.sum_over_ranks) {
    return custom_gradient({x, weight.value, bias.value},
                           [&] { return synchronized_forward(x, *this, mode.sum_over_ranks); });
  }
  if (!mode.training) {
    return at::batch_norm(x, weight.value, bias.value, mean.value, variance.value, false, 0.0,
                          kEpsilon, true);
  }
  // Momentum 1 keeps 0 * old, which is NaN for a NaN from a batch that failed: begin with zeros.
  mean.statistics.zero_();
  variance.statistics.zero_();
  return at::batch_norm(x, weight.value, bias.value, mean.statistics, variance.statistics, true,
                        1.0, kEpsilon, true);
}

}  // namespace bitstill
