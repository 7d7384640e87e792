// Our half of tests/whole/pytorch_logits.sh: logits of our networks beside PyTorch's.
//
//   pytorch_program write KIND FOLDER   makes ours.safetensors (weights), ours_run.safetensors
//                                       (64 images, logits)
//   pytorch_program check KIND FOLDER   loads theirs.safetensors, compares with
//                                       theirs_run.safetensors
#include <ATen/core/grad_mode.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>

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
  return make_network(spec);
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
  const at::Tensor images = at::randn({64, 3, 32, 32});
  ModelFile weights, run;
  for (const auto& [name, tensor] : named_tensors(*network)) {
    weights.tensors.emplace_back(name, tensor.contiguous());
  }
  const at::Tensor last = images.contiguous(at::MemoryFormat::ChannelsLast);
  run.tensors = {{"images", images}, {"logits", network->forward(last, {}).contiguous()}};
  write_model_file(folder + "/ours.safetensors", weights);
  write_model_file(folder + "/ours_run.safetensors", run);
}

/// Largest difference of our logits from PyTorch's on its images with its weights.
double check(const std::string& kind, const std::string& folder) {
  const auto network = network_of(kind);
  const std::string path = folder + "/theirs.safetensors";
  assign(*network, read_model_file(path).tensors, path);
  std::map<std::string, at::Tensor> run;
  for (const auto& [name, tensor] : read_model_file(folder + "/theirs_run.safetensors").tensors) {
    run[name] = tensor;
  }
  const at::Tensor logits = network->forward(run.at("images"), {});
  return logits.sub(run.at("logits")).abs().max().item<double>();
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
    const double difference = check(kind, folder);
    std::printf("%s: PyTorch's weights in our network: largest difference %.2e\n", kind.c_str(),
                difference);
    return difference <= 1e-5 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
