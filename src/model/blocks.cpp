#include "bitstill/model/blocks.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/zeros.h>

#include "bitstill/base/random.hpp"
#include "bitstill/model/program.hpp"
#include "onednn.hpp"

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

namespace {

/// LibTorch's fp32 linear and 1x1 convolution answer a row otherwise among more rows or at another
/// place among them; in evaluation oneDNN's are used, which do not.
bool must_not_depend_on_batch(const at::Tensor& x, const at::Tensor& weight,
                              const ForwardMode& mode) {
  const bool graph = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return !mode.training && !graph && x.numel() > 0 && x.is_cpu() && x.scalar_type() == at::kFloat &&
         !at::autocast::is_autocast_enabled(at::kCPU) && at::hasMKLDNN();
}

at::Tensor linear(const at::Tensor& x, const Affine& affine, const ForwardMode& mode) {
  const at::Tensor &weight = affine.weight.value, &bias = affine.bias.value;
  if (!must_not_depend_on_batch(x, weight, mode)) return at::linear(x, weight, bias);
  return onednn_linear(x, onednn_linear_weight(weight.detach()), bias, false);
}

at::Tensor convolution(const at::Tensor& x, const Affine& affine, const ForwardMode& mode) {
  const at::Tensor &weight = affine.weight.value, &bias = affine.bias.value;
  const int64_t padding = weight.size(2) / 2;
  if (weight.size(2) > 1 || !must_not_depend_on_batch(x, weight, mode)) {
    return at::conv2d(x, weight, bias, 1, padding);  // larger ones are oneDNN's anyway
  }
  return at::mkldnn_convolution(x, weight, bias, padding, 1, 1, 1);
}

}  // namespace

ConvolutionBlock::ConvolutionBlock(const Options& options, int64_t module, uint64_t unit)
    : options_(options),
      unit_(unit),
      affine_(std::to_string(module), {options.out, options.in, options.kernel, options.kernel},
              options.first, false, options.device),
      norm_(std::to_string(module + 2), options.out, options.device) {}

at::Tensor ConvolutionBlock::forward(const at::Tensor& x, const ForwardMode& mode) {
  at::Tensor y = convolution(x, affine_, mode);
  y = norm_.forward_relu(y, mode, options_.pool);
  return dropout(y, options_.dropout, unit_, mode);
}

bool ConvolutionBlock::describe(Program& program) const {
  program.convolution(program.result(), options_.out, {options_.kernel, 1, options_.kernel / 2},
                      affine_.weight.name, affine_.bias.name);
  program.relu(program.result());
  program.norm(program.result(), norm_.names());
  if (options_.pool) program.max_pool(program.result(), {2, 2, 0});
  return true;
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
  at::Tensor y = linear(flat, affine_, mode);
  if (!norm_) return y;
  return dropout(norm_->forward_relu(y, mode), options_.dropout, unit_, mode);
}

bool LinearBlock::describe(Program& program) const {
  program.linear(program.result(), options_.out, affine_.weight.name, affine_.bias.name);
  if (norm_) program.norm(program.relu(program.result()), norm_->names());
  return true;
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
