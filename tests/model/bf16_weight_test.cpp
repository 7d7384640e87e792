// A training pass's convolution in bf16: the same bits as mixed precision's own.
#include "../../src/model/bf16_weight.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "../../src/model/layers.hpp"
#include "bitstill/model/autocast.hpp"

namespace bitstill {
namespace {

struct Pass {
  at::Tensor y, dx, dweight;
};

template <class Convolve>
Pass pass(const at::Tensor& given, const at::Tensor& values, const Convolve& convolve) {
  at::Tensor x = given.detach().requires_grad_(), weight = values.detach().requires_grad_();
  Pass result;
  {
    const AutocastScope scope(true, at::kCPU);
    result.y = convolve(x, weight);
  }
  (result.y.to(at::kFloat) * 0.37).sum().backward();
  result.dx = x.grad();
  result.dweight = weight.grad();
  return result;
}

TEST(Bf16Weight, GivesTheBitsOfMixedPrecision) {
  at::manual_seed(4);
  ForwardMode training;
  training.training = true;
  for (const auto& [in, out, window] :
       {std::tuple(3, 20, Window{7, 2, 3}), std::tuple(37, 21, Window{3, 1, 1}),
        std::tuple(16, 16, Window{3, 2, 1}), std::tuple(5, 4, Window{1, 1, 0})}) {
    for (const auto format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
      const at::Tensor x = at::randn({3, in, 13, 10}).contiguous(format);
      const at::Tensor weight = at::randn({out, in, window.kernel, window.kernel});
      const Pass truth = pass(x, weight, [&](const at::Tensor& a, const at::Tensor& w) {
        return at::conv2d(a, w, {}, window.stride, window.padding);
      });
      const Pass found = pass(x, weight, [&](const at::Tensor& a, const at::Tensor& w) {
        return convolution(a, w, {}, window, training);
      });
      EXPECT_EQ(found.y.scalar_type(), at::kBFloat16);
      EXPECT_TRUE(found.y.equal(truth.y)) << in;
      EXPECT_TRUE(found.dx.equal(truth.dx)) << in;
      EXPECT_TRUE(found.dweight.equal(truth.dweight)) << in;
      EXPECT_EQ(found.dweight.scalar_type(), at::kFloat);
      EXPECT_TRUE(found.dweight.is_contiguous());
    }
  }
}

TEST(Bf16Weight, IsChannelsLastAndRoundsToTheNearest) {
  const at::Tensor weight = at::randn({9, 5, 3, 3});
  const at::Tensor found = bf16_weight(weight);
  EXPECT_TRUE(found.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(found.equal(weight.to(at::kBFloat16)));
}

}  // namespace
}  // namespace bitstill
