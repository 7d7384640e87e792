// Networks to freeze: chains by their specs, and a residual one of the tests' own units.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/model/blocks.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

inline NetworkSpec spec_of(std::vector<int64_t> widths, std::vector<int64_t> pools,
                           std::vector<int64_t> hidden) {
  NetworkSpec spec;
  spec.kind = "convnet";
  spec.input = {3, 11, 9};
  spec.classes = 4;
  spec.widths = std::move(widths);
  spec.kernels = {3};
  spec.pools = std::move(pools);
  spec.hidden = std::move(hidden);
  if (spec.widths.empty()) spec.kernels = {};
  return spec;
}

/// A ResNet or wide residual network.
inline NetworkSpec residual_spec(const std::string& kind, ImageShape input, int64_t classes,
                                 double width_factor = 1, int64_t depth = 0) {
  NetworkSpec spec;
  spec.kind = kind;
  spec.input = input;
  spec.classes = classes;
  spec.width_factor = width_factor;
  spec.depth = depth;
  return spec;
}

inline NetworkSpec small_stem(NetworkSpec spec) {
  spec.stem = Stem::small;
  return spec;
}

/// Weights, biases and norms (statistics included) that are nothing special; scales above zero.
inline void randomize(Network& network) {
  initialize(network, 7);
  for (Parameter* parameter : network.parameters()) {
    if (parameter->role == ParameterRole::weight) continue;
    const at::Tensor noise = at::randn(parameter->value.sizes()) * 0.3;
    parameter->value.copy_(
        parameter->role == ParameterRole::norm && parameter->name.ends_with("weight") ? noise.exp()
                                                                                      : noise);
  }
  for (Buffer* buffer : network.buffers()) {
    const at::Tensor noise = at::randn(buffer->value.sizes()) * 0.3;
    buffer->value.copy_(buffer->name.ends_with("var") ? noise.exp() : noise);
  }
}

inline std::unique_ptr<Network> random_network(const NetworkSpec& spec) {
  auto network = make_network(spec);
  randomize(*network);
  return network;
}

/// Convolution without bias -> norm, as the basic blocks of ResNets have them.
struct PlainNormedConvolution {
  PlainNormedConvolution(const std::string& name, int64_t in, int64_t outputs, const Window& by)
      : out(outputs), window(by), norm(name + ".norm", outputs) {
    weight = {name + ".weight", ParameterRole::weight,
              at::zeros({outputs, in, by.kernel, by.kernel})};
  }
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) {
    return norm.forward(at::conv2d(x, weight.value, {}, window.stride, window.padding), mode);
  }
  int describe(Program& program, int x) const {
    return program.norm(program.convolution(x, out, window, weight.name, ""), norm.names());
  }
  int64_t out;
  Window window;
  Parameter weight;
  BatchNorm norm;
};

/// relu(f(x) + x), f two convolutions; with a stride or another width x goes through a third.
class PlainBlock : public Unit {
 public:
  PlainBlock(const std::string& name, int64_t in, int64_t out, int64_t stride)
      : first_(name + ".1", in, out, {3, stride, 1}), second_(name + ".2", out, out, {3, 1, 1}) {
    if (stride != 1 || in != out) shortcut_.emplace(name + ".s", in, out, Window{1, stride, 0});
  }
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    const at::Tensor y = second_.forward(at::relu(first_.forward(x, mode)), mode);
    return at::relu(y + (shortcut_ ? shortcut_->forward(x, mode) : x));
  }
  bool describe(Program& program) const override {
    const int x = program.result();
    const int y = second_.describe(program, program.relu(first_.describe(program, x)));
    program.relu(program.add(y, shortcut_ ? shortcut_->describe(program, x) : x));
    return true;
  }
  std::vector<Parameter*> parameters() override {
    std::vector<Parameter*> all;
    for (PlainNormedConvolution* part : parts()) {
      all.insert(all.end(), {&part->weight, &part->norm.weight, &part->norm.bias});
    }
    return all;
  }
  std::vector<Buffer*> buffers() override {
    std::vector<Buffer*> all;
    for (PlainNormedConvolution* part : parts()) {
      all.insert(all.end(), {&part->norm.mean, &part->norm.variance});
    }
    return all;
  }

 private:
  std::vector<PlainNormedConvolution*> parts() {
    std::vector<PlainNormedConvolution*> all = {&first_, &second_};
    if (shortcut_) all.push_back(&*shortcut_);
    return all;
  }
  PlainNormedConvolution first_, second_;
  std::optional<PlainNormedConvolution> shortcut_;
};

/// One without the block's inner layers: relu(norm(convolution(x))).
class PlainStem : public Unit {
 public:
  PlainStem(int64_t in, int64_t out) : convolution_("stem", in, out, {5, 2, 2}) {}
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    return at::relu(convolution_.forward(x, mode));
  }
  bool describe(Program& program) const override {
    program.relu(convolution_.describe(program, program.result()));
    return true;
  }
  std::vector<Parameter*> parameters() override {
    return {&convolution_.weight, &convolution_.norm.weight, &convolution_.norm.bias};
  }
  std::vector<Buffer*> buffers() override {
    return {&convolution_.norm.mean, &convolution_.norm.variance};
  }

 private:
  PlainNormedConvolution convolution_;
};

/// The program's own block (its pool and norm meet the stem), a stem, and three residual blocks.
inline std::unique_ptr<Network> residual_network() {
  NetworkSpec spec = spec_of({}, {}, {});
  spec.input = {3, 23, 18};
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(
      std::make_unique<ConvolutionBlock>(ConvolutionBlock::Options{3, 5, 3, true, true, 0}, 0, 0));
  units.push_back(std::make_unique<PlainStem>(5, 19));
  units.push_back(std::make_unique<PlainBlock>("a", 19, 19, 1));
  units.push_back(std::make_unique<PlainBlock>("b", 19, 70, 2));
  units.push_back(std::make_unique<PlainBlock>("c", 70, 70, 1));
  units.push_back(
      std::make_unique<LinearBlock>(LinearBlock::Options{70 * 3 * 3, 4, false, true, 0}, 9, 5));
  auto network = std::make_unique<Network>(spec, std::move(units));
  randomize(*network);
  return network;
}

inline double relative_error(const at::Tensor& found, const at::Tensor& truth) {
  return ((found - truth).norm() / truth.norm()).item<double>();
}

}  // namespace bitstill
