// Our half of tests/whole/pytorch_logits.sh: logits and gradients of our networks beside PyTorch's.
//
//   pytorch_program write KIND FOLDER   makes ours.safetensors (weights), ours_run.safetensors
//   pytorch_program check KIND FOLDER   loads theirs.safetensors, compares with
//                                       theirs_run.safetensors
// A run: 16 images, their logits in evaluation, and the gradients of sum(training's logits *
// given), as "gradient.NAME".
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "bitstill/base/text.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {
namespace {

std::unique_ptr<Network> network_of(const std::string& kind) {
  NetworkSpec spec;
  spec.kind = kind;
  spec.input = {3, 32, 32};
  spec.classes = 10;
  if (kind == "resnet34_narrow") {
    spec.kind = "resnet34";
    spec.width_factor = 0.25;
    spec.stem = Stem::small;
  } else if (kind == "wrn_16_2") {
    spec.kind = "wrn";
    spec.depth = 16;
    spec.width_factor = 2;
  }
  return make_network(spec);
}

/// All values of the network in another type.
void convert(const Network& network, at::ScalarType type) {
  for (Parameter* parameter : network.parameters()) {
    parameter->value = parameter->value.detach().to(type);
  }
  for (Buffer* buffer : network.buffers()) {
    buffer->value = buffer->value.to(type);
    buffer->statistics = buffer->statistics.to(type);
  }
}

/// Gradients are computed in double: where fp32 rounds a value to ReLU's other side, they jump.
NamedTensors run_of(const Network& network, const at::Tensor& images, const at::Tensor& given) {
  const at::Tensor last = images.contiguous(at::MemoryFormat::ChannelsLast);
  NamedTensors run = {{"images", images}, {"given", given}};
  run.emplace_back("logits", network.forward(last, {}).contiguous());
  const at::AutoGradMode graph(true);
  convert(network, at::kDouble);
  for (Parameter* parameter : network.parameters()) parameter->value.set_requires_grad(true);
  ForwardMode training;
  training.training = true;
  training.dropout = false;
  network.forward(last.to(at::kDouble), training).mul(given.to(at::kDouble)).sum().backward();
  for (const Parameter* parameter : network.parameters()) {
    run.emplace_back("gradient." + parameter->name,
                     parameter->value.grad().to(at::kFloat).contiguous());
  }
  convert(network, at::kFloat);
  return run;
}

void write(const std::string& kind, const std::string& folder) {
  const auto network = network_of(kind);
  initialize(*network, 11);
  // Trained networks have norms and statistics of their own; untouched ones would hide a mix-up.
  for (Parameter* parameter : network->parameters()) {
    if (parameter->role == ParameterRole::weight) continue;
    parameter->value.add_(at::randn(parameter->value.sizes()), 0.3);
  }
  for (Buffer* buffer : network->buffers())
    buffer->value.add_(at::rand(buffer->value.sizes()), 0.5);
  ModelFile weights, run;
  for (const auto& [name, tensor] : named_tensors(*network)) {
    weights.tensors.emplace_back(name, tensor.contiguous());
  }
  run.tensors = run_of(*network, at::randn({16, 3, 32, 32}), at::randn({16, 10}));
  write_model_file(folder + "/ours.safetensors", weights);
  write_model_file(folder + "/ours_run.safetensors", run);
}

double norm_of(const at::Tensor& x) {
  return x.norm().item<double>();
}

/// Whether logits and gradients are PyTorch's, on its images with its weights.
bool check(const std::string& kind, const std::string& folder) {
  const auto network = network_of(kind);
  const std::string path = folder + "/theirs.safetensors";
  assign(*network, read_model_file(path).tensors, path);
  std::map<std::string, at::Tensor> theirs;
  for (const auto& [name, tensor] : read_model_file(folder + "/theirs_run.safetensors").tensors) {
    theirs[name] = tensor;
  }
  double largest = 0, logits = 0, gradients = 0;
  for (const auto& [name, tensor] : theirs) {
    if (name.starts_with("gradient.")) largest = std::max(largest, norm_of(tensor));
  }
  for (const auto& [name, tensor] : run_of(*network, theirs.at("images"), theirs.at("given"))) {
    const at::Tensor& truth = theirs.at(name);
    const double difference = norm_of(tensor - truth);
    if (name == "logits") logits = difference / norm_of(truth);
    // Where a norm follows, a bias has no gradient but rounding.
    const double size = std::max(1e-3 * largest, norm_of(truth));
    if (name.starts_with("gradient.")) gradients = std::max(gradients, difference / size);
  }
  std::printf("%s: PyTorch's weights in our network: logits differ by %.2e, gradients by %.2e\n",
              kind.c_str(), logits, gradients);
  return logits <= 1e-5 && gradients <= 1e-3;
}

}  // namespace
}  // namespace bitstill

int main(int count, char** arguments) {
  using namespace bitstill;
  if (count != 4) {
    std::fprintf(stderr, "usage: pytorch_program write|check KIND FOLDER\n");
    return 2;
  }
  const at::NoGradGuard no_gradient;
  const std::string verb = arguments[1], kind = arguments[2], folder = arguments[3];
  try {
    if (verb == "write") {
      write(kind, folder);
      return 0;
    }
    return check(kind, folder) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
