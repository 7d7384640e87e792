#include "bitstill/model/blocks.hpp"

#include <ATen/ops/zeros.h>

#include "bitstill/model/dropout.hpp"
#include "bitstill/model/program.hpp"
#include "layers.hpp"

namespace bitstill {

Affine::Affine(const std::string& prefix, const std::vector<int64_t>& shape, bool first, bool last,
               const c10::Device& device)
    : weight{prefix + ".weight", ParameterRole::weight, at::zeros(shape, device), first, last},
      bias{prefix + ".bias", ParameterRole::bias, at::zeros({shape[0]}, device), first, last} {}

ConvolutionBlock::ConvolutionBlock(const Options& options, int64_t module, uint64_t unit)
    : options_(options),
      unit_(unit),
      affine_(std::to_string(module), {options.out, options.in, options.kernel, options.kernel},
              options.first, false, options.device),
      norm_(std::to_string(module + 2), options.out, options.device) {}

at::Tensor ConvolutionBlock::forward(const at::Tensor& x, const ForwardMode& mode) {
  at::Tensor y = convolution(x, affine_.weight.value, affine_.bias.value, window(), mode);
  y = norm_.forward_relu(y, mode, options_.pool);
  return dropout(y, options_.dropout, unit_, mode);
}

bool ConvolutionBlock::describe(Program& program) const {
  program.convolution(program.result(), options_.out, window(), affine_.weight.name,
                      affine_.bias.name);
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
  at::Tensor y = linear(flat, affine_.weight.value, affine_.bias.value, mode);
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
