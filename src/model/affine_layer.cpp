#include "bitstill/model/affine_layer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// [C] -> [1, C * times, 1, ...], each value `times` times in a row, to multiply a weight by.
at::Tensor by_input(const at::Tensor& values, const at::Tensor& weight) {
  std::vector<int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  shape[1] = weight.size(1);
  return values.repeat_interleave(weight.size(1) / values.size(0)).view(shape);
}

/// One more output channel of a layer: always 1, also after ReLU.
void add_channel_of_ones(AffineLayer* layer) {
  const at::Tensor one_row = at::zeros_like(layer->weight.slice(0, 0, 1));
  layer->weight = at::cat({layer->weight, one_row}, 0);
  layer->bias = at::cat({layer->bias, at::ones({1}, layer->bias.options())}, 0);
}

/// Takes the norm of `before` into `layer`. All in double.
void take_norm(AffineLayer* before, AffineLayer* layer) {
  const at::Tensor shift = by_input(before->shift, layer->weight);
  const at::Tensor shifted = layer->weight * shift;
  layer->weight = layer->weight * by_input(before->scale, layer->weight);
  before->scale = before->shift = at::Tensor();
  if (layer->convolution()) {
    add_channel_of_ones(before);
    layer->weight = at::cat({layer->weight, shifted.sum(1, true)}, 1);
  } else {
    layer->bias = layer->bias + shifted.sum(1);
  }
}

void convert(AffineLayer* layer, at::ScalarType type) {
  for (at::Tensor* value : {&layer->weight, &layer->bias, &layer->scale, &layer->shift}) {
    if (value->defined()) *value = value->to(at::kCPU, type);
  }
}

}  // namespace

FoldedNetwork fold_norms(const Network& network) {
  FoldedNetwork folded;
  std::vector<AffineLayer>& layers = folded.layers;
  for (const auto& unit : network.units()) {
    std::optional<AffineLayer> layer = unit->affine_layer();
    if (!layer) return {{}, "a layer of it is neither a convolution nor fully connected"};
    convert(&*layer, at::kDouble);
    if (layer->pool && layer->scale.defined() && layer->scale.min().item<double>() < 0) {
      return {{},
              concat("the norm before a pool, after convolution ", layers.size() + 1,
                     ", has a scale below zero")};
    }
    layers.push_back(std::move(*layer));
  }
  if (layers.empty() || layers.back().scale.defined()) return {{}, "it ends with a norm"};
  for (std::size_t i = 1; i < layers.size(); ++i) {
    if (layers[i - 1].scale.defined()) take_norm(&layers[i - 1], &layers[i]);
  }
  for (AffineLayer& layer : layers) convert(&layer, at::kFloat);
  return folded;
}

}  // namespace bitstill
