// Convolutions in bf16 whose strides leave a column, or whose kernels reach beyond the image,
// against sums in double: forward and all gradients.
#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../../src/model/layers.hpp"
#include "../../src/model/onednn.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/model/autocast.hpp"

namespace bitstill {
namespace {

double relative_error(const at::Tensor& found, const at::Tensor& truth) {
  return ((found.to(at::kDouble) - truth).norm() / (truth.norm() + 1e-30)).item<double>();
}

/// An image, weights and biases that bf16 holds exactly, the answer's gradient, and theirs.
struct Case {
  Case(const Window& of, int64_t height, int64_t width, int64_t channels)
      : window(of), grad_y(exact({5, 32, of.places(height), of.places(width)})) {
    values = {exact({5, channels, height, width}),
              exact({32, channels, window.kernel, window.kernel}), exact({32})};
  }
  static at::Tensor exact(const std::vector<int64_t>& sizes) {
    return at::randn(sizes).to(at::kBFloat16).to(at::kFloat);
  }
  /// y and the gradients of what it is made of.
  std::vector<at::Tensor> run(bool bf16) const {
    std::vector<at::Tensor> own;
    for (const at::Tensor& value : values) {
      own.push_back(value.to(bf16 ? at::kFloat : at::kDouble).detach().clone());
      own.back().requires_grad_(true);
    }
    at::Tensor y;
    if (bf16) {
      const AutocastScope scope(true, at::kCPU);
      ForwardMode mode;
      mode.training = true;
      y = convolution(own[0], own[1], own[2], window, mode);
    } else {
      y = at::conv2d(own[0], own[1], own[2], window.stride, window.padding);
    }
    y.backward(grad_y.to(y.scalar_type()));
    return {y.detach(), own[0].grad(), own[1].grad(), own[2].grad()};
  }
  Window window;
  std::vector<at::Tensor> values;
  at::Tensor grad_y;
};

TEST(OnednnWindow, AnyGeometryIsComputed) {
  at::manual_seed(3);
  for (const int64_t kernel : {1, 3, 5, 7}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t height : {1, 2, 3, 6}) {
        for (const int64_t width : {1, 2, 3, 6}) {
          const Case one({kernel, stride, kernel / 2}, height, width, 160);
          const auto found = one.run(true), truth = one.run(false);
          for (std::size_t i = 0; i < truth.size(); ++i) {
            ASSERT_EQ(found[i].sizes(), truth[i].sizes());
            EXPECT_LT(relative_error(found[i], truth[i]), 0.01)
                << (std::vector{"y", "x", "weight", "bias"}[i]) << " of " << height << 'x' << width
                << ", kernel " << kernel << ", stride " << stride;
          }
        }
      }
    }
  }
}

TEST(OnednnWindow, LeavesOtherGeometriesAlone) {
  for (const Window& window :
       {Window{3, 1, 1}, Window{3, 2, 1}, Window{7, 2, 3}, Window{1, 2, 0}}) {
    const OnednnWindow asked(window, 7, 9);
    EXPECT_TRUE(asked.margins.empty());
    EXPECT_EQ(asked.padding, std::vector<int64_t>(2, window.padding));
    EXPECT_EQ(asked.stride, std::vector<int64_t>(2, window.stride));
    EXPECT_TRUE(OnednnWindow({3, 1, 1}, 1, 1).margins.empty());  // oneDNN skips the padding
  }
}

}  // namespace
}  // namespace bitstill
