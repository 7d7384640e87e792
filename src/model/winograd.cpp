#include "winograd.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "winograd_kernel.hpp"

namespace bitstill {
namespace {

constexpr int64_t kElements = kWinogradSide * kWinogradSide;

int64_t padded(int64_t channels) {
  return (channels + kWinogradChannels - 1) / kWinogradChannels * kWinogradChannels;
}

/// Whether x is as a layer makes it.
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

at::Tensor padded_copy(const at::Tensor& x) {
  return empty_padded(x.size(0), x.size(1), x.size(2), x.size(3)).copy_(x);
}

}  // namespace

bool WinogradLayer::takes(const Program& folded, const Operation& layer) {
  const Window& window = layer.window;
  const ValueShape& image = folded.shape(layer.inputs[0]);
  return std::min(image.at(1), image.at(2)) >= 7 - window.kernel &&
         (window.kernel == 3 || window.kernel == 5) && window.stride == 1 &&
         window.padding == window.kernel / 2;
}

WinogradLayer::WinogradLayer(const Program& folded, const Operation& layer)
    : FrozenLayer(folded, layer, {}, RowRuns::whole) {}

std::vector<FrozenLayer::Section> WinogradLayer::sections(int64_t rows) const {
  const int64_t k = layer_.window.kernel;
  return {{{size_.in, k, k, padded(rows)}, at::kFloat}, {{padded(rows)}, at::kFloat}};
}

int64_t WinogradLayer::row_multiple() const {
  return kWinogradLargestBlock * kWinogradChannels;
}

int64_t WinogradLayer::stored_rows() const {
  return padded(size_.out);
}

int64_t WinogradLayer::ready_bytes(int64_t rows) const {
  return (kElements * size_.in + 1) * padded(rows) * static_cast<int64_t>(sizeof(float));
}

void WinogradLayer::write(const FoldedRows& rows, const Tensors& plain) const {
  const int64_t count = rows.bias.size(0);
  plain[0].narrow(3, 0, count).copy_(rows.weight.permute({1, 2, 3, 0}));
  plain[1].narrow(0, 0, count).copy_(rows.bias);
}

ReadyRows WinogradLayer::prepare(const Tensors& plain, int64_t rows) const {
  constexpr int64_t kGrain = 4;
  const int64_t outputs = padded(rows);
  at::Tensor weight = at::empty({kElements * size_.in * outputs}, at::kFloat);
  at::parallel_for(0, size_.in, kGrain, [&](int64_t begin, int64_t end) {
    winograd_weights(plain[0].const_data_ptr<float>(), size_.in, layer_.window.kernel, outputs,
                     begin, end, weight.mutable_data_ptr<float>());
  });
  return {weight, plain[1].clone(), {}, {}};
}

at::Tensor WinogradLayer::input(const at::Tensor& x) const {
  return is_padded(x) ? x : padded_copy(x);
}

at::Tensor WinogradLayer::addend(const at::Tensor& value, bool may_write) const {
  return may_write ? input(value) : padded_copy(value);
}

void WinogradLayer::run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                             at::Tensor* y) const {
  constexpr int64_t kBlock = 32;  // tiles
  const int64_t n = x.size(0), divisor = layer_.pool ? 2 : 1;
  if (!y->defined()) *y = empty_padded(n, size_.out, x.size(2) / divisor, x.size(3) / divisor);
  WinogradRun run;
  run.x = x.const_data_ptr<float>();
  run.height = x.size(2);
  run.width = x.size(3);
  run.inputs = size_.in;
  run.in_stride = padded(size_.in);
  run.side = 7 - layer_.window.kernel;
  run.weight = ready.weight.const_data_ptr<float>();
  run.bias = ready.bias.const_data_ptr<float>();
  run.outputs = padded(rows.count);
  run.out_stride = padded(size_.out);
  run.add = layer_.adds();
  run.relu = layer_.relu;
  run.pool = layer_.pool;
  run.y = y->mutable_data_ptr<float>() + rows.first;
  const int64_t tiles = n * run.rows() * run.columns();
  at::parallel_for(0, (tiles + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    const at::Tensor scratch = at::empty({winograd_scratch(run, kBlock)}, at::kFloat);
    for (int64_t tile = begin * kBlock; tile < std::min(end * kBlock, tiles); tile += kBlock) {
      winograd_tiles(run, tile, std::min(kBlock, tiles - tile), scratch.mutable_data_ptr<float>());
    }
  });
}

}  // namespace bitstill
