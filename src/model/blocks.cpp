#include "bitstill/model/blocks.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "bitstill/base/random.hpp"
#include "bitstill/model/program.hpp"
#include "layers.hpp"

namespace bitstill {

Affine::Affine(const std::string& prefix, const std::vector<int64_t>& shape, bool first, bool last,
               const c10::Device& device)
    : weight{prefix + ".weight", ParameterRole::weight, at::zeros(shape, device), first, last},
      bias{prefix + ".bias", ParameterRole::bias, at::zeros({shape[0]}, device), first, last} {}

at::Tensor dropout_factors(at::IntArrayRef sizes, double rate, uint64_t place,
                           const ForwardMode& mode, const at::Device& device) {
  if (!mode.training || !mode.dropout || rate == 0) return {};
  const auto key = stream_key(mode.dropout_seed, StreamPurpose::dropout);
  const at::Tensor factors = at::empty(sizes);
  const auto keep = static_cast<float>(1 / (1 - rate));
  float* const value = factors.mutable_data_ptr<float>();
  // As RandomStream(dropout_seed, dropout, place) has them, four numbers a block.
  const int64_t count = factors.numel(), blocks = (count + 3) / 4;
  at::parallel_for(0, blocks, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto words = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(place),
                                 static_cast<uint32_t>(place >> 32), 0},
                                key);
      const int64_t first = 4 * block;
      for (int64_t i = first; i < std::min(first + 4, count); ++i) {
        const uint32_t drawn = words[static_cast<std::size_t>(i - first)] >> 8;
        value[i] = drawn * 0x1p-24 < rate ? 0.0f : keep;
      }
    }
  });
  return factors.to(device);
}

at::Tensor dropout(const at::Tensor& x, double rate, uint64_t unit, const ForwardMode& mode) {
  const at::Tensor factors = dropout_factors({x.size(0), x.size(1)}, rate, unit, mode, x.device());
  if (!factors.defined()) return x;
  const at::Tensor mask = factors.to(x.scalar_type());
  return x.mul(x.dim() == 2 ? mask : mask.view({x.size(0), x.size(1), 1, 1}));
}

at::Tensor element_dropout(const at::Tensor& x, double rate, uint64_t unit,
                           const ForwardMode& mode) {
  const at::Tensor factors =
      dropout_factors({x.size(0), x.size(2), x.size(3), x.size(1)}, rate, unit, mode, x.device());
  return factors.defined() ? x.mul(factors.permute({0, 3, 1, 2}).to(x.scalar_type())) : x;
}

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
