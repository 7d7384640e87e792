#include "bitstill/model/blocks.hpp"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <tuple>

#include "bitstill/base/random.hpp"
#include "bitstill/model/affine_layer.hpp"

namespace bitstill {

Affine::Affine(const std::string& prefix, const std::vector<int64_t>& shape, bool first, bool last,
               const c10::Device& device)
    : weight{prefix + ".weight", ParameterRole::weight, at::zeros(shape, device), first, last},
      bias{prefix + ".bias", ParameterRole::bias, at::zeros({shape[0]}, device), first, last} {}

at::Tensor dropout(const at::Tensor& x, double rate, uint64_t unit, const ForwardMode& mode) {
  if (!mode.training || !mode.dropout || rate == 0) return x;
  RandomStream stream(mode.dropout_seed, StreamPurpose::dropout, unit);
  at::Tensor mask = at::empty({x.size(0), x.size(1)});
  const auto keep = static_cast<float>(1 / (1 - rate));
  float* value = mask.mutable_data_ptr<float>();
  for (int64_t i = 0; i < mask.numel(); ++i) value[i] = stream.uniform() < rate ? 0.0f : keep;
  mask = mask.to(x.options());
  return x.mul(x.dim() == 2 ? mask : mask.view({x.size(0), x.size(1), 1, 1}));
}

ConvolutionBlock::ConvolutionBlock(const Options& options, int64_t module, uint64_t unit)
    : options_(options),
      unit_(unit),
      affine_(std::to_string(module), {options.out, options.in, options.kernel, options.kernel},
              options.first, false, options.device),
      norm_(std::to_string(module + 2), options.out, options.device) {}

at::Tensor ConvolutionBlock::forward(const at::Tensor& x, const ForwardMode& mode) {
  at::Tensor y = at::conv2d(x, affine_.weight.value, affine_.bias.value, 1, options_.kernel / 2);
  y = norm_.forward_relu(y, mode, options_.pool);
  return dropout(y, options_.dropout, unit_, mode);
}

std::optional<AffineLayer> ConvolutionBlock::affine_layer() const {
  const auto [scale, shift] = norm_.scale_and_shift();
  return AffineLayer{affine_.weight.value.detach(),
                     affine_.bias.value.detach(),
                     true,
                     scale,
                     shift,
                     options_.pool};
}

std::vector<Parameter*> ConvolutionBlock::parameters() {
  return {&affine_.weight, &affine_.bias, &norm_.weight, &norm_.bias};
}

std::vector<Buffer*> ConvolutionBlock::buffers() {
  return {&norm_.mean, &norm_.variance};
}

LinearBlock::LinearBlock(const Options& options, int64_t module, uint64_t unit)
    : options_(options),
      unit_(unit),
      affine_(std::to_string(module), {options.out, options.in}, options.first, options.last,
              options.device) {
  if (!options.last) norm_.emplace(std::to_string(module + 2), options.out, options.device);
}

at::Tensor LinearBlock::forward(const at::Tensor& x, const ForwardMode& mode) {
  // flatten gives the logical order (channel, row, column) also where memory is channels-last.
  const at::Tensor flat = x.dim() == 2 ? x : x.flatten(1);
  at::Tensor y = at::linear(flat, affine_.weight.value, affine_.bias.value);
  if (!norm_) return y;
  return dropout(norm_->forward_relu(y, mode), options_.dropout, unit_, mode);
}

std::optional<AffineLayer> LinearBlock::affine_layer() const {
  AffineLayer layer{
      affine_.weight.value.detach(), affine_.bias.value.detach(), false, {}, {}, false};
  if (norm_) {
    layer.relu = true;
    std::tie(layer.scale, layer.shift) = norm_->scale_and_shift();
  }
  return layer;
}

std::vector<Parameter*> LinearBlock::parameters() {
  if (!norm_) return {&affine_.weight, &affine_.bias};
  return {&affine_.weight, &affine_.bias, &norm_->weight, &norm_->bias};
}

std::vector<Buffer*> LinearBlock::buffers() {
  if (!norm_) return {};
  return {&norm_->mean, &norm_->variance};
}

}  // namespace bitstill
