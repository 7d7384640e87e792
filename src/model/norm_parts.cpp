#include "norm_parts.hpp"

#include <ATen/ops/empty.h>

#include <cmath>

namespace bitstill {

at::Tensor norm_statistics(const Bf16Rows& x, BatchNorm& norm, SumRows sum, SumRows sum_squares) {
  const int64_t channels = x.channels;
  at::Tensor statistics = at::empty({2, channels}, norm.mean.statistics.options());
  float* const mean = statistics.mutable_data_ptr<float>();
  float* const inverse = mean + channels;
  const auto count = static_cast<double>(x.rows);
  std::fill_n(mean, channels, 0.0f);
  const auto first = sums_over_parts(
      x, channels, [&](const Bf16Rows& part, int64_t, float* sums) { sum(part, mean, sums); });
  for (int64_t c = 0; c < channels && x.rows > 0; ++c) {
    mean[c] = static_cast<float>(first[static_cast<std::size_t>(c)] / count);
  }
  const auto second = sums_over_parts(x, channels, [&](const Bf16Rows& part, int64_t, float* sums) {
    sum_squares(part, mean, sums);
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

at::Tensor gradient_coefficients(const at::Tensor& statistics, const at::Tensor& weight,
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

}  // namespace bitstill
