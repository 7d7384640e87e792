// What all layers share, and those that oneDNN runs fused with their ReLU, in fp32 or bf16.
#include "frozen_layer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "onednn.hpp"
#include "winograd.hpp"

namespace bitstill {
namespace {

constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Multiplies the weights of every output and input channel by its factor.
void rescale(FoldedRows* folded, RowRange rows, const LayerCodes& codes) {
  const auto shaped = [&](const std::vector<float>& factors, int64_t first, int64_t count) {
    return at::tensor(at::ArrayRef<float>(factors).slice(static_cast<std::size_t>(first),
                                                         static_cast<std::size_t>(count)));
  };
  const int64_t count = rows.count;
  if (!codes.row_factors.empty()) {
    const at::Tensor by = shaped(codes.row_factors, rows.first, count);
    folded->weight.view({count, -1}).mul_(by.view({-1, 1}));
    folded->bias.mul_(by);
  }
  if (!codes.column_factors.empty()) {
    const auto channels = static_cast<int64_t>(codes.column_factors.size());
    const at::Tensor by = shaped(codes.column_factors, 0, channels);
    folded->weight.view({count, channels, -1}).mul_(by.view({-1, 1}));
  }
}

class ConvolutionLayer : public FrozenLayer {
 public:
  ConvolutionLayer(const Program& folded, const Operation& layer, at::ScalarType type, RowRuns runs)
      : FrozenLayer(folded, layer, {}, runs), type_(type), window_(window()) {}

  at::Tensor input(const at::Tensor& x) const override {
    return x.contiguous(at::MemoryFormat::ChannelsLast);
  }

 private:
  std::vector<Section> sections(int64_t rows) const override {
    const int64_t k = layer_.window.kernel;
    return {{{rows, k, k, size_.in}, type_}, {{rows}, type_}};
  }

  void write(const FoldedRows& rows, const Tensors& plain) const override {
    plain[0].permute({0, 3, 1, 2}).copy_(rows.weight);
    plain[1].copy_(rows.bias);
  }

  ReadyRows prepare(const Tensors& plain, int64_t /*rows*/) const override {
    return {onednn("mkldnn::_reorder_convolution_weight",
                   {plain[0].permute({0, 3, 1, 2}), window_.padding, window_.stride, pair_of(1), 1,
                    input_sizes(window_)}),
            plain[1].clone(),
            {},
            {}};
  }

  void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& given,
                at::Tensor* y) const override {
    const at::Tensor x = window_.pad(given);
    const c10::IValue padding = window_.padding, stride = window_.stride, dilation = pair_of(1);
    if (layer_.adds()) {
      const c10::IValue after = layer_.relu ? c10::IValue("relu") : c10::IValue();
      put(onednn("mkldnn::_convolution_pointwise_",
                 {take(rows, *y), x, ready.weight, ready.bias, padding, stride, dilation, 1, "add",
                  c10::IValue(), after, no_scalars(), c10::IValue()},
                 "binary"),
          rows, y);
      return;
    }
    const at::Tensor answer = onednn("mkldnn::_convolution_pointwise",
                                     {x, ready.weight, ready.bias, padding, stride, dilation, 1,
                                      onednn_after(layer_.relu), no_scalars(), ""});
    put(layer_.pool ? at::max_pool2d(answer, 2) : answer, rows, y);
  }

  at::ScalarType type_;
  OnednnWindow window_;
};

class LinearLayer : public FrozenLayer {
 public:
  LinearLayer(const Program& folded, const Operation& layer, at::ScalarType type, LayerCodes codes,
              RowRuns runs)
      : FrozenLayer(folded, layer, std::move(codes), runs), type_(type) {}

  at::Tensor input(const at::Tensor& x) const override { return x.flatten(1).to(type_); }

 private:
  std::vector<Section> sections(int64_t rows) const override {
    return {{{rows, size_.in * size_.area}, type_}, {{rows}, type_}};
  }

  void write(const FoldedRows& rows, const Tensors& plain) const override {
    plain[0].copy_(rows.weight);
    plain[1].copy_(rows.bias);
  }

  ReadyRows prepare(const Tensors& plain, int64_t /*rows*/) const override {
    return {onednn_linear_weight(plain[0]), plain[1].clone(), {}, {}};
  }

  void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                at::Tensor* y) const override {
    put(onednn_linear(x, ready.weight, ready.bias, layer_.relu), rows, y);
  }

  at::ScalarType type_;
};

}  // namespace

std::unique_ptr<FrozenLayer> FrozenLayer::make(const Program& folded, const Operation& layer,
                                               at::ScalarType type, const LayerCodes* codes,
                                               RowRuns runs) {
  const LayerCodes given = codes == nullptr ? LayerCodes{} : *codes;
  if (layer.kind == OperationKind::linear) {
    return std::make_unique<LinearLayer>(folded, layer, type, given, runs);
  }
  if (layer.kind == OperationKind::norm) return make_norm_layer(folded, layer, given);
  if (codes != nullptr) return make_code_layer(folded, layer, *codes, runs);
  if (type == at::kFloat && WinogradLayer::takes(folded, layer)) {
    return std::make_unique<WinogradLayer>(folded, layer);
  }
  return std::make_unique<ConvolutionLayer>(folded, layer, type, runs);
}

FrozenLayer::FrozenLayer(const Program& folded, const Operation& layer, LayerCodes codes,
                         RowRuns runs)
    : layer_(layer), size_(folded, layer), codes_(std::move(codes)), folded_(folded), runs_(runs) {}

OnednnWindow FrozenLayer::window() const {
  const ValueShape& x = folded_.shape(layer_.inputs[0]);
  return {layer_.window, x.at(1), x.at(2)};
}

std::vector<int64_t> FrozenLayer::input_sizes(const OnednnWindow& window) const {
  const ValueShape& x = folded_.shape(layer_.inputs[0]);
  std::vector<int64_t> sizes = {kUsualBatch, size_.in, x.at(1), x.at(2)};
  for (std::size_t side = 0; side < window.margins.size(); ++side) {
    sizes[3 - side / 2] += window.margins[side];
  }
  return sizes;
}

int64_t FrozenLayer::rows_at_once(int64_t bytes) const {
  const int64_t multiple = row_multiple();
  const int64_t times =
      std::max<int64_t>(1, (bytes + plain_bytes(multiple) - 1) / plain_bytes(multiple));
  return std::min(rows(), times * multiple);
}

int64_t FrozenLayer::plain_bytes(int64_t rows) const {
  int64_t bytes = 0;
  for (const Section& section : sections(rows)) {
    bytes += aligned(c10::multiply_integers(section.sizes) *
                     static_cast<int64_t>(c10::elementSize(section.type)));
  }
  return bytes;
}

int64_t FrozenLayer::ready_bytes(int64_t rows) const {
  const at::Tensor plain = at::zeros({plain_bytes(rows)}, at::kByte);
  int64_t bytes = 0;
  for (const ReadyRows& ready : make_ready(plain.const_data_ptr(), rows)) {
    bytes += onednn_bytes(ready.weight);
    for (const at::Tensor* part : {&ready.bias, &ready.scale, &ready.zero}) {
      if (part->defined()) bytes += static_cast<int64_t>(part->nbytes());
    }
  }
  return bytes;
}

int64_t FrozenLayer::multiply_adds(int64_t rows) const {
  const ValueShape& x = folded_.shape(layer_.inputs[0]);
  if (layer_.kind == OperationKind::norm) return rows * c10::multiply_integers(x) / x[0];
  int64_t places = 1;  // a convolution's outputs of one channel, before its pool
  if (layer_.kind == OperationKind::convolution) {
    places = layer_.window.places(x[1]) * layer_.window.places(x[2]);
  }
  return rows * size_.in * size_.area * places;
}

FrozenLayer::Tensors FrozenLayer::views(const void* plain, int64_t rows) const {
  Tensors parts;
  // from_blob has no const; prepare() only reads.
  auto* next = static_cast<char*>(const_cast<void*>(plain));
  for (const Section& section : sections(rows)) {
    parts.push_back(at::from_blob(next, section.sizes, at::TensorOptions(section.type)));
    next += aligned(static_cast<int64_t>(parts.back().nbytes()));
  }
  return parts;
}

void FrozenLayer::read(RowRange rows, TensorSource& source, void* plain) const {
  FoldedRows folded = fold_rows(folded_, layer_, rows, source);
  rescale(&folded, rows, codes_);
  // Not before: its memory is not there until it is written, and what was read is gone by now.
  std::memset(plain, 0, static_cast<std::size_t>(plain_bytes(rows.count)));
  write(folded, views(plain, rows.count));
}

int64_t FrozenLayer::run_length(int64_t rows) const {
  return runs_ == RowRuns::fixed ? std::min(rows, kRowRun) : rows;
}

std::vector<ReadyRows> FrozenLayer::make_ready(const void* plain, int64_t rows) const {
  const Tensors all = views(plain, rows);
  const int64_t length = run_length(rows);
  if (length == rows) return {prepare(all, rows)};
  std::vector<ReadyRows> ready;
  for (int64_t first = 0; first < rows; first += length) {
    const int64_t count = std::min(length, rows - first);
    Tensors some;
    for (const at::Tensor& part : all) some.push_back(part.narrow(0, first, count));
    ready.push_back(prepare(some, count));
  }
  return ready;
}

void FrozenLayer::run(std::span<const ReadyRows> ready, RowRange rows, const at::Tensor& x,
                      at::Tensor* y) const {
  const int64_t end = rows.first + rows.count;
  rows.count = run_length(rows.count);
  for (const ReadyRows& one : ready) {
    run_rows(one, {rows.first, std::min(rows.count, end - rows.first)}, x, y);
    rows.first += rows.count;
  }
}

at::Tensor FrozenLayer::addend(const at::Tensor& value, bool may_write) const {
  return may_write ? value.contiguous(at::MemoryFormat::ChannelsLast)
                   : value.clone(at::MemoryFormat::ChannelsLast);
}

at::Tensor FrozenLayer::take(RowRange range, const at::Tensor& y) const {
  if (range.count == rows()) return y;
  return y.narrow(1, range.first, range.count).contiguous(at::MemoryFormat::ChannelsLast);
}

void FrozenLayer::put(const at::Tensor& answer, RowRange range, at::Tensor* y) const {
  if (range.count == rows()) {
    *y = answer;
    return;
  }
  if (!y->defined()) {
    std::vector<int64_t> sizes = answer.sizes().vec();
    sizes[1] = rows();
    *y = at::empty(sizes, answer.options().memory_format(answer.suggest_memory_format()));
  }
  y->narrow(1, range.first, range.count).copy_(answer);
}

}  // namespace bitstill
