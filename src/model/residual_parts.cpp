#include "residual_parts.hpp"

#include <ATen/ops/zeros.h>

#include "layers.hpp"

namespace bitstill {

Convolution::Convolution(const std::string& prefix, const Options& options)
    : window(options.window),
      weight{prefix + ".weight", ParameterRole::weight,
             at::zeros({options.out, options.in, window.kernel, window.kernel}, options.device),
             options.first} {
  if (!options.bias) return;
  bias = Parameter{prefix + ".bias", ParameterRole::bias, at::zeros({options.out}, options.device),
                   options.first};
}

at::Tensor Convolution::forward(const at::Tensor& x, const ForwardMode& mode) const {
  return bitstill::convolution(x, weight.value, bias ? bias->value : at::Tensor(), window, mode);
}

int Convolution::describe(Program& program, int x) const {
  return program.convolution(x, weight.value.size(0), window, weight.name, bias ? bias->name : "");
}

void Convolution::add_to(std::vector<Parameter*>& all) {
  all.push_back(&weight);
  if (bias) all.push_back(&*bias);
}

NormedConvolution::NormedConvolution(const std::string& convolution_name,
                                     const std::string& norm_name,
                                     const Convolution::Options& options)
    : convolution(convolution_name, options), norm(norm_name, options.out, options.device) {}

at::Tensor NormedConvolution::forward(const at::Tensor& x, const ForwardMode& mode) {
  return norm.forward(convolution.forward(x, mode), mode);
}

at::Tensor NormedConvolution::forward_add_relu(const at::Tensor& x, const at::Tensor& added,
                                               const ForwardMode& mode) {
  return norm.forward_add_relu(convolution.forward(x, mode), added, mode);
}

int NormedConvolution::describe(Program& program, int x) const {
  return program.norm(convolution.describe(program, x), norm.names());
}

void NormedConvolution::add_to(std::vector<Parameter*>& all) {
  convolution.add_to(all);
  add_norm(norm, all);
}

void NormedConvolution::add_to(std::vector<Buffer*>& all) {
  add_norm(norm, all);
}

void add_norm(BatchNorm& norm, std::vector<Parameter*>& all) {
  all.push_back(&norm.weight);
  all.push_back(&norm.bias);
}

void add_norm(BatchNorm& norm, std::vector<Buffer*>& all) {
  all.push_back(&norm.mean);
  all.push_back(&norm.variance);
}

PooledLinear::PooledLinear(const std::string& prefix, int64_t in, int64_t out,
                           const c10::Device& device, std::optional<BatchNorm> norm)
    : norm_(std::move(norm)), affine_(prefix, {out, in}, false, true, device) {}

at::Tensor PooledLinear::forward(const at::Tensor& x, const ForwardMode& mode) {
  const at::Tensor pooled = average_pool(norm_ ? norm_->forward_add_relu(x, {}, mode) : x);
  return linear(pooled, affine_.weight.value, affine_.bias.value, mode);
}

bool PooledLinear::describe(Program& program) const {
  if (norm_) program.relu(program.norm(program.result(), norm_->names()));
  program.linear(program.average_pool(program.result()), affine_.weight.value.size(0),
                 affine_.weight.name, affine_.bias.name);
  return true;
}

std::vector<Parameter*> PooledLinear::parameters() {
  std::vector<Parameter*> all;
  if (norm_) add_norm(*norm_, all);
  all.push_back(&affine_.weight);
  all.push_back(&affine_.bias);
  return all;
}

std::vector<Buffer*> PooledLinear::buffers() {
  std::vector<Buffer*> all;
  if (norm_) add_norm(*norm_, all);
  return all;
}

int64_t count_parameters(const std::vector<std::unique_ptr<Unit>>& units) {
  int64_t count = 0;
  for (const auto& unit : units) {
    for (const Parameter* parameter : unit->parameters()) count += parameter->value.numel();
  }
  return count;
}

}  // namespace bitstill
