// What the graph's nodes of a batch norm in bfloat16 share: passes in parts, statistics, gradients.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "bitstill/model/batch_norm.hpp"
#include "bitstill/model/norm_kernel.hpp"

namespace bitstill {

inline const uint16_t* bits(const at::Tensor& x) {
  return static_cast<const uint16_t*>(x.const_data_ptr());
}

inline uint16_t* bits(at::Tensor& x) {
  return static_cast<uint16_t*>(x.mutable_data_ptr());
}

inline Bf16Rows rows_of(const at::Tensor& x) {
  return {bits(x), x.numel() / x.size(1), x.size(1)};
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

using SumRows = void (*)(const Bf16Rows& x, const float* mean, float* sums);

/// statistics [2, C] = mean and 1 / deviation of what the sums are of; also into the norm's
/// buffers.
at::Tensor norm_statistics(const Bf16Rows& x, BatchNorm& norm, SumRows sums, SumRows squares);

/// [4, C]: by_dy, by_x, constant of NormGradient, and dweight; from the sums over `count` values.
at::Tensor gradient_coefficients(const at::Tensor& statistics, const at::Tensor& weight,
                                 const std::vector<double>& sums, double count);

}  // namespace bitstill
