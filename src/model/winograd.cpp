#include "winograd.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "winograd_kernel.hpp"

namespace bitstill {
namespace {

int64_t padded(int64_t channels) {
  return (channels + kWinogradChannels - 1) / kWinogradChannels * kWinogradChannels;
}

/// G [6, k] in double: row p is [1, p, p^2, ...] / prod of (p - q) over the other points q.
at::Tensor kernel_transform(int64_t k) {
  const double a = kWinogradPoints[0], b = kWinogradPoints[1];
  const double points[] = {0, a, -a, b, -b};
  at::Tensor transform = at::zeros({kWinogradSide, k}, at::kDouble);
  auto g = transform.accessor<double, 2>();
  for (int64_t row = 0; row < 5; ++row) {
    double value = 1;
    for (int64_t other = 0; other < 5; ++other) {
      if (other != row) value /= points[row] - points[other];
    }
    for (int64_t column = 0; column < k; ++column, value *= points[row]) g[row][column] = value;
  }
  g[5][k - 1] = 1;
  return transform;
}

/// Whether x is as forward() returns it.
bool is_padded(const at::Tensor& x) {
  constexpr uintptr_t kAlignment = 64;
  const int64_t pixel = padded(x.size(1)), row = x.size(3) * pixel;
  return x.strides() == at::IntArrayRef{x.size(2) * row, 1, row, pixel} &&
         reinterpret_cast<uintptr_t>(x.const_data_ptr()) % kAlignment == 0;
}

/// [n, channels, height, width], channels-last with padded pixels.
at::Tensor empty_padded(int64_t n, int64_t channels, int64_t height, int64_t width) {
  return at::empty({n, height, width, padded(channels)}, at::kFloat)
      .permute({0, 3, 1, 2})
      .narrow(1, 0, channels);
}

at::Tensor with_padding(const at::Tensor& x) {
  at::Tensor y = empty_padded(x.size(0), x.size(1), x.size(2), x.size(3));
  return y.copy_(x);
}

}  // namespace

bool WinogradConvolution::takes(const AffineLayer& layer) {
  return layer.convolution() && (layer.weight.size(2) == 3 || layer.weight.size(2) == 5);
}

WinogradConvolution::WinogradConvolution(const AffineLayer& layer)
    : inputs_(layer.weight.size(1)),
      outputs_(layer.weight.size(0)),
      side_(7 - layer.weight.size(2)),
      relu_(layer.relu),
      pool_(layer.pool) {
  const int64_t more = padded(outputs_) - outputs_;
  bias_ = at::constant_pad_nd(layer.bias, {0, more});
  const at::Tensor g = kernel_transform(layer.weight.size(2));
  const at::Tensor transformed =
      at::einsum("ai,ocij,bj->abco", {g, layer.weight.to(at::kDouble), g});
  const at::Tensor planes = at::constant_pad_nd(transformed, {0, more})
                                .reshape({kWinogradSide * kWinogradSide, inputs_, outputs_ + more});
  weight_ = at::empty({planes.numel()}, at::kFloat);
  for (int64_t c = 0, channels = 0; c < outputs_; c += channels) {
    const int64_t left = (outputs_ + more - c) / kWinogradChannels;
    channels = winograd_block(left) * kWinogradChannels;
    const at::Tensor block = planes.narrow(2, c, channels);
    weight_.narrow(0, c * planes.size(0) * inputs_, block.numel()).view(block.sizes()).copy_(block);
  }
}

at::Tensor WinogradConvolution::forward(const at::Tensor& given) const {
  constexpr int64_t kBlock = 32;  // tiles
  const at::Tensor x = is_padded(given) ? given : with_padding(given);
  const int64_t n = x.size(0), divisor = pool_ ? 2 : 1;
  at::Tensor y = empty_padded(n, outputs_, x.size(2) / divisor, x.size(3) / divisor);
  WinogradRun run;
  run.x = x.const_data_ptr<float>();
  run.height = x.size(2);
  run.width = x.size(3);
  run.inputs = inputs_;
  run.in_stride = padded(inputs_);
  run.side = side_;
  run.weight = weight_.const_data_ptr<float>();
  run.bias = bias_.const_data_ptr<float>();
  run.out_stride = padded(outputs_);
  run.relu = relu_;
  run.pool = pool_;
  run.y = y.mutable_data_ptr<float>();
  const int64_t tiles = n * run.rows() * run.columns();
  at::parallel_for(0, (tiles + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor scratch = at::empty({winograd_scratch(run, kBlock)}, at::kFloat);
    for (int64_t tile = begin * kBlock; tile < std::min(end * kBlock, tiles); tile += kBlock) {
      winograd_tiles(run, tile, std::min(kBlock, tiles - tile), scratch.mutable_data_ptr<float>());
    }
  });
  return y;
}

}  // namespace bitstill
