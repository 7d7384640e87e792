#include "bitstill/model/relu_norm.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "bitstill/model/norm_kernel.hpp"
#include "custom_gradient.hpp"

namespace bitstill {
namespace {

const uint16_t* bits(const at::Tensor& x) {
  return static_cast<const uint16_t*>(x.const_data_ptr());
}

uint16_t* bits(at::Tensor& x) {
  return static_cast<uint16_t*>(x.mutable_data_ptr());
}

Bf16Rows rows_of(const at::Tensor& x) {
  return {bits(x), x.numel() / x.size(1), x.size(1)};
}

PooledImages images_of(const at::Tensor& x) {
  return {x.size(0), x.size(2), x.size(3), x.size(1)};
}

/// x in parts of some 10,000 values, which do not depend on the number of threads.
struct Parts {
  explicit Parts(const Bf16Rows& whole)
      : x(whole),
        size(std::max<int64_t>(1, 32768 / x.channels)),
        count((x.rows + size - 1) / size) {}
  Bf16Rows x;
  int64_t size, count;  // rows of a part, parts

  /// Calls run(part, first value, number of the part) for all.
  template <class Run>
  void run(const Run& run) const {
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t first = part * size * x.channels;
        run({x.values + first, std::min(size, x.rows - part * size), x.channels}, first, part);
      }
    });
  }
};

/// Sums over all rows by run(part, first value, sums [values]): fp32 in a part, double over parts.
template <class Run>
std::vector<double> sums_over_parts(const Bf16Rows& x, int64_t values, const Run& run) {
  const Parts parts(x);
  std::vector<float> sums(static_cast<std::size_t>(parts.count * values));
  std::vector<double> total(static_cast<std::size_t>(values));
  parts.run([&](const Bf16Rows& part, int64_t first, int64_t number) {
    run(part, first, sums.data() + number * values);
  });
  for (std::size_t i = 0; i < sums.size(); ++i) total[i % total.size()] += sums[i];
  return total;
}

/// statistics [2, C] = mean and 1 / deviation of ReLU(x); also into the norm's buffers.
at::Tensor measure(const Bf16Rows& x, BatchNorm& norm) {
  const int64_t channels = x.channels;
  at::Tensor statistics = at::empty({2, channels}, norm.mean.statistics.options());
  float* const mean = statistics.mutable_data_ptr<float>();
  float* const inverse = mean + channels;
  const auto count = static_cast<double>(x.rows);
  std::fill_n(mean, channels, 0.0f);
  const auto first = sums_over_parts(x, channels, [&](const Bf16Rows& part, int64_t, float* sums) {
    relu_sums(part, mean, sums);
  });
  for (int64_t c = 0; c < channels && x.rows > 0; ++c) {
    mean[c] = static_cast<float>(first[static_cast<std::size_t>(c)] / count);
  }
  const auto second = sums_over_parts(x, channels, [&](const Bf16Rows& part, int64_t, float* sums) {
    relu_squares(part, mean, sums);
  });
  float* const kept_mean = norm.mean.statistics.mutable_data_ptr<float>();
  float* const kept_variance = norm.variance.statistics.mutable_data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    const double squares = second[static_cast<std::size_t>(c)];
    const double variance = squares / std::max(1.0, count);
    inverse[c] = static_cast<float>(1 / std::sqrt(variance + BatchNorm::kEpsilon));
    kept_mean[c] = mean[c];
    kept_variance[c] = static_cast<float>(squares / std::max(1.0, count - 1));
  }
  return statistics;
}

/// [4, C]: by_dy, by_x, constant of NormGradient, and dweight; from the sums over `count` values.
at::Tensor coefficients(const at::Tensor& statistics, const at::Tensor& weight,
                        const std::vector<double>& sums, double count) {
  const int64_t channels = weight.numel();
  at::Tensor result = at::empty({4, channels}, statistics.options());
  float* const values = result.mutable_data_ptr<float>();
  const float* const inverse = statistics.const_data_ptr<float>() + channels;
  for (int64_t c = 0; c < channels; ++c) {
    const auto i = static_cast<std::size_t>(c);
    const double dbias = sums[i], by = inverse[c];
    const double dweight = sums[i + static_cast<std::size_t>(channels)] * by;
    const double scale = static_cast<double>(weight.const_data_ptr<float>()[c]) * by;
    // dx = scale (dy - dbias / count - normal dweight / count), normal = (x - mean) by
    values[c] = static_cast<float>(scale);
    values[channels + c] = static_cast<float>(-scale * by * dweight / count);
    values[2 * channels + c] = static_cast<float>(-scale * dbias / count);
    values[3 * channels + c] = static_cast<float>(dweight);
  }
  return result;
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

std::array<at::Tensor, 3> backward(const std::vector<at::Tensor>& saved, const at::Tensor& given) {
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
  const at::Tensor by = coefficients(statistics, weight, sums, count);
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
  const at::Tensor statistics = measure(rows_of(x), norm);
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
  return custom_gradient(x, norm.weight.value, norm.bias.value,
                         [&] { return forward(x, norm, pool); });
}

}  // namespace bitstill
