// What the tests of this module share: a small network, random images, equality of bits.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "../base/thrown_error.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Odd sizes; five trained tensors are no multiple of 64 bytes.
inline NetworkSpec small_spec() {
  NetworkSpec spec;
  spec.kind = "convnet";
  spec.input = {2, 7, 6};
  spec.classes = 4;
  spec.normalization = {{0.5f, 0.4f}, {1, 2}};
  spec.widths = {3, 5};
  spec.kernels = {3};
  spec.pools = {1};
  spec.hidden = {9};
  return spec;
}

inline std::unique_ptr<Network> small_network(uint64_t seed) {
  auto network = make_network(small_spec());
  initialize(*network, seed);
  return network;
}

inline QuantOptions uniform(int64_t bits, int64_t bucket) {
  QuantOptions options;
  options.method = QuantMethod::uniform;
  options.bits = bits;
  options.bucket = bucket;
  return options;
}

inline Student small_student(uint64_t seed, const QuantOptions& options = {}) {
  return {small_network(seed), options, seed, at::kCPU};
}

struct Images {
  explicit Images(int64_t count)
      : x(at::randn({count, 2, 7, 6})), labels(at::randint(4, {count}, at::kLong)) {}
  at::Tensor x, labels;
};

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(),
                     a.nbytes()) == 0;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace bitstill
