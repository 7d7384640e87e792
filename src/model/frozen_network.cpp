// oneDNN by LibTorch's dispatcher: fused convolution + ReLU in bf16 or on 8-bit codes, and in fp32
// where Winograd's way does not fit.
#include "bitstill/model/frozen_network.hpp"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/stack.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/quantize_per_tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "winograd.hpp"

namespace bitstill {
namespace {

using c10::IValue;

constexpr int64_t kUsualBatch = 32;

/// An operator without a C++ function of its own.
at::Tensor call(const char* name, std::vector<IValue> arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  op.callBoxed(&arguments);
  return arguments.at(0).toTensor();
}

IValue pair_of(int64_t value) {
  return std::vector<int64_t>{value, value};
}

IValue no_scalars() {
  return c10::List<std::optional<at::Scalar>>();
}

/// 2x2 max-pool of codes, channels-last; LibTorch's takes no plain uint8.
at::Tensor pool_codes(const at::Tensor& given) {
  const at::Tensor x = given.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t n = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  at::Tensor y = at::empty({n, channels, height / 2, width / 2},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const uint8_t* const in = x.const_data_ptr<uint8_t>();
  uint8_t* out = y.mutable_data_ptr<uint8_t>();
  for (int64_t image = 0; image < n; ++image) {
    for (int64_t row = 0; row + 1 < height; row += 2) {
      const uint8_t* top = in + (image * height + row) * width * channels;
      for (int64_t column = 0; column + 1 < width; column += 2, top += 2 * channels) {
        const uint8_t* const below = top + width * channels;
        for (int64_t c = 0; c < channels; ++c) {
          out[c] = std::max(std::max(top[c], top[channels + c]),
                            std::max(below[c], below[channels + c]));
        }
        out += channels;
      }
    }
  }
  return y;
}

at::Tensor over_channels(const at::Tensor& x) {  // [n, C, ...] -> [C], the largest
  return x.dim() == 2 ? x.amax(0) : x.amax({0, 2, 3});
}

/// Multiplies channel c of the layer's answers by factor[c] > 0, and divides the next one's
/// weights.
void rescale(AffineLayer* layer, AffineLayer* next, const at::Tensor& factor) {
  std::vector<int64_t> rows(static_cast<std::size_t>(layer->weight.dim()), 1);
  rows[0] = -1;
  layer->weight = layer->weight * factor.view(rows);
  layer->bias = layer->bias * factor;
  std::vector<int64_t> columns(static_cast<std::size_t>(next->weight.dim()), 1);
  columns[1] = next->weight.size(1);
  const int64_t times = next->weight.size(1) / factor.size(0);
  next->weight = next->weight / factor.repeat_interleave(times).view(columns);
}

/// The largest |weight| that each channel of the layer before meets.
at::Tensor largest_of_columns(const at::Tensor& weight, int64_t channels) {
  const at::Tensor by_column = weight.abs().amax(0).flatten();  // channel-major
  return by_column.view({channels, -1}).amax(1);
}

/// What a precision needs and is not there; empty: nothing.
std::string missing(const Network& network, InferencePrecision precision) {
  for (const Parameter* parameter : network.parameters()) {
    if (!parameter->value.is_cpu()) return "it is on a GPU";
  }
  if (!at::hasMKLDNN()) return "this LibTorch was built without oneDNN";
  if (precision == InferencePrecision::fp32) return "";
  if (!c10::Dispatcher::singleton()
           .findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "")
           .typed<bool()>()
           .call()) {
    return "this processor has no instructions for bf16 (avx512bw, avx512vl, avx512dq)";
  }
  if (precision == InferencePrecision::bf16) return "";
  // Without these oneDNN adds pairs of 8-bit products in 16 bits, which overflow.
  if (!at::cpu::is_avx512_vnni_supported()) {
    return "this processor has no instructions for 8-bit codes (avx512_vnni)";
  }
  return "";
}

}  // namespace

const char* precision_name(InferencePrecision precision) {
  static constexpr const char* kNames[] = {"fp32", "bf16", "int8"};
  return kNames[static_cast<std::size_t>(precision)];
}

std::unique_ptr<FrozenNetwork> FrozenNetwork::make(const Network& network,
                                                   InferencePrecision precision,
                                                   const at::Tensor& sample,
                                                   std::string* obstacle) {
  const at::NoGradGuard no_grad;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  *obstacle = missing(network, precision);
  if (!obstacle->empty()) return nullptr;
  FoldedNetwork folded = fold_norms(network);
  *obstacle = folded.obstacle;
  if (!obstacle->empty()) return nullptr;
  if (precision == InferencePrecision::int8 && !folded.layers.front().convolution()) {
    *obstacle = "it has no convolution, which alone run on 8-bit codes";
    return nullptr;
  }
  std::unique_ptr<FrozenNetwork> frozen(new FrozenNetwork);
  frozen->precision_ = precision;
  frozen->type_ = precision == InferencePrecision::fp32 ? at::kFloat : at::kBFloat16;
  frozen->classes_ = network.spec().classes;
  if (precision == InferencePrecision::int8) frozen->quantize(folded.layers, sample);
  // oneDNN lays weights out for the shape that they will meet: the layers run as they come.
  at::Tensor x = sample.slice(0, 0, kUsualBatch);
  for (std::size_t i = 0; i < folded.layers.size(); ++i) {
    if (frozen->layers_.size() == i) frozen->layers_.emplace_back();
    if (i == 0) x = frozen->enter(x);
    Layer& layer = frozen->layers_[i];
    layer.affine = folded.layers[i];
    frozen->lay_out(&layer, x.sizes().vec());
    x = frozen->run(layer, x);
  }
  return frozen;
}

void FrozenNetwork::lay_out(Layer* layer, const std::vector<int64_t>& shape) const {
  AffineLayer& affine = layer->affine;
  if (affine.convolution()) layer->padding = affine.weight.size(2) / 2;
  if (layer->int8) {
    affine.weight = call("onednn::qconv_prepack",
                         {affine.weight, layer->weight_scale, layer->in_scale, layer->in_zero,
                          pair_of(1), pair_of(layer->padding), pair_of(1), 1, shape});
    return;
  }
  if (type_ == at::kFloat && WinogradConvolution::takes(affine)) {
    layer->winograd = std::make_shared<const WinogradConvolution>(affine);
    affine = {};
    return;
  }
  affine.weight = affine.weight.to(type_);
  affine.bias = affine.bias.to(type_);
  if (affine.convolution()) {
    affine.weight = call("mkldnn::_reorder_convolution_weight",
                         {affine.weight.contiguous(at::MemoryFormat::ChannelsLast),
                          pair_of(layer->padding), pair_of(1), pair_of(1), 1, shape});
  } else {
    affine.weight = call("mkldnn::_reorder_linear_weight", {affine.weight, kUsualBatch});
  }
}

void FrozenNetwork::quantize(std::vector<AffineLayer>& layers, const at::Tensor& sample) {
  // The largest answers of every convolution, by channel.
  std::vector<at::Tensor> largest;
  {
    FrozenNetwork exact;
    for (const AffineLayer& affine : layers) {
      exact.layers_.emplace_back();
      exact.layers_.back().affine = affine;
      if (affine.convolution()) exact.layers_.back().padding = affine.weight.size(2) / 2;
    }
    at::Tensor x = sample;
    for (Layer& layer : exact.layers_) {
      if (!layer.affine.convolution()) break;
      const bool pool = std::exchange(layer.affine.pool, false);
      x = exact.run(layer, x);
      largest.push_back(over_channels(x));
      if (pool) x = at::max_pool2d(x, 2);
    }
  }
  // Codes 0..255 are shared by all channels of a layer. Between a channel's range and the weights
  // that it meets, half the difference in size goes each way (SmoothQuant, Xiao et al. 2023): a
  // channel with small answers then does not vanish beside one with large answers.
  for (std::size_t i = 0; i < largest.size() && i + 1 < layers.size(); ++i) {
    const at::Tensor weights = largest_of_columns(layers[i + 1].weight, largest[i].size(0));
    const at::Tensor factor = (weights.clamp_min(1e-6) / largest[i].clamp_min(1e-6)).sqrt();
    rescale(&layers[i], &layers[i + 1], factor);
    largest[i] = largest[i] * factor;
  }
  double in_scale = 0;
  for (std::size_t i = 0; i < largest.size(); ++i) {
    Layer layer;
    AffineLayer& affine = layers[i];
    layer.int8 = true;
    if (i == 0) {
      const auto low = std::min(0.0, sample.min().item<double>());
      in_scale = std::max((sample.max().item<double>() - low) / 255, 1e-12);
      layer.in_zero = std::llround(-low / in_scale);
    }
    layer.in_scale = in_scale;
    layer.out_scale = in_scale = std::max(largest[i].max().item<double>() / 255, 1e-12);
    const at::Tensor scale = affine.weight.abs().amax({1, 2, 3}).div(127).clamp_min(1e-12);
    affine.weight = affine.weight.div(scale.view({-1, 1, 1, 1})).round().to(at::kChar);
    layer.weight_scale = scale;
    layer.weight_zero = at::zeros({scale.size(0)}, at::kInt);
    layers_.push_back(layer);
  }
  // The first linear layer reads codes: its weights take their scale.
  if (!largest.empty() && largest.size() < layers.size()) {
    layers[largest.size()].weight = layers[largest.size()].weight * in_scale;
  }
}

at::Tensor FrozenNetwork::run(const Layer& layer, const at::Tensor& x) const {
  if (layer.winograd) return layer.winograd->forward(x);
  const AffineLayer& affine = layer.affine;
  const char* const after = affine.relu ? "relu" : "none";
  if (layer.int8) {
    const at::Tensor y =
        call("onednn::qconv2d_pointwise",
             {x, layer.in_scale, layer.in_zero, affine.weight, layer.weight_scale,
              layer.weight_zero, affine.bias, pair_of(1), pair_of(layer.padding), pair_of(1), 1,
              layer.out_scale, 0, at::kByte, after, no_scalars(), ""});
    return affine.pool ? pool_codes(y) : y;
  }
  if (affine.convolution()) {
    const at::Tensor y =
        call("mkldnn::_convolution_pointwise",
             {x.contiguous(at::MemoryFormat::ChannelsLast), affine.weight, affine.bias,
              pair_of(layer.padding), pair_of(1), pair_of(1), 1, after, no_scalars(), ""});
    return affine.pool ? at::max_pool2d(y, 2) : y;
  }
  return call("mkldnn::_linear_pointwise",
              {x.flatten(1).to(type_), affine.weight, affine.bias, after, no_scalars(), ""});
}

at::Tensor FrozenNetwork::enter(const at::Tensor& given) const {
  const at::Tensor x = given.contiguous(at::MemoryFormat::ChannelsLast);
  const Layer& first = layers_.front();
  if (!first.int8) return x.to(type_);
  return at::quantize_per_tensor(x, first.in_scale, first.in_zero, at::kQUInt8).int_repr();
}

at::Tensor FrozenNetwork::forward(const at::Tensor& given) const {
  const at::NoGradGuard no_grad;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  if (given.size(0) == 0) return at::zeros({0, classes_});
  at::Tensor x = enter(given);
  for (const Layer& layer : layers_) x = run(layer, x);
  return x.to(at::kFloat);
}

}  // namespace bitstill
