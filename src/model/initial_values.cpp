#include "initial_values.hpp"

#include <ATen/ops/empty.h>

#include <cmath>
#include <numbers>

namespace bitstill {
namespace {

double area_of(at::IntArrayRef sizes) {
  return static_cast<double>(c10::multiply_integers(sizes.slice(2)));
}

}  // namespace

at::Tensor uniform(at::IntArrayRef sizes, double half, RandomStream& stream) {
  const auto bound = static_cast<float>(half);
  at::Tensor drawn = at::empty(sizes);
  float* const number = drawn.mutable_data_ptr<float>();
  for (int64_t i = 0; i < drawn.numel(); ++i) number[i] = (2 * stream.uniform() - 1) * bound;
  return drawn;
}

at::Tensor xavier_uniform(at::IntArrayRef sizes, double gain, RandomStream& stream) {
  const auto fans = static_cast<double>(sizes[0] + sizes[1]) * area_of(sizes);
  return uniform(sizes, gain * std::sqrt(6.0 / fans), stream);
}

at::Tensor he_normal(at::IntArrayRef sizes, RandomStream& stream) {
  const double deviation = std::sqrt(2 / (static_cast<double>(sizes[0]) * area_of(sizes)));
  at::Tensor drawn = at::empty(sizes);
  float* const number = drawn.mutable_data_ptr<float>();
  for (int64_t i = 0; i < drawn.numel(); ++i) {  // Box and Muller 1958
    const double radius = std::sqrt(-2 * std::log(1 - double{stream.uniform()}));
    const double angle = 2 * std::numbers::pi * double{stream.uniform()};
    number[i] = static_cast<float>(deviation * radius * std::cos(angle));
  }
  return drawn;
}

at::Tensor fan_in_uniform(at::IntArrayRef sizes, RandomStream& stream) {
  return uniform(sizes, 1 / std::sqrt(static_cast<double>(sizes[1]) * area_of(sizes)), stream);
}

}  // namespace bitstill
