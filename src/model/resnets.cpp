// ResNets (He et al. 2015) as torchvision has them, strides in the 3x3 convolutions, names too.
#include <ATen/ops/max_pool2d.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"
#include "residual_parts.hpp"

namespace bitstill {
namespace {

struct Design {
  int64_t depth;
  bool bottleneck;
  std::array<int64_t, 4> blocks;  // of each stage
};

const std::map<std::string, Design>& designs() {
  static const std::map<std::string, Design> all = {
      {"resnet18", {18, false, {2, 2, 2, 2}}},   {"resnet34", {34, false, {3, 4, 6, 3}}},
      {"resnet50", {50, true, {3, 4, 6, 3}}},    {"resnet101", {101, true, {3, 4, 23, 3}}},
      {"resnet152", {152, true, {3, 8, 36, 3}}},
  };
  return all;
}

constexpr int64_t kWidth = 64;     // of the first stage
constexpr int64_t kExpansion = 4;  // of a bottleneck's answers
const Window kStemPool{3, 2, 1};

/// Convolution -> norm -> ReLU [-> max-pool].
class ResNetStem : public Unit {
 public:
  ResNetStem(const Convolution::Options& options, bool pool)
      : convolution_("conv1", "bn1", options), pool_(pool) {}
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    const at::Tensor y = convolution_.forward_add_relu(x, {}, mode);
    return pool_ ? at::max_pool2d(y, kStemPool.kernel, kStemPool.stride, kStemPool.padding) : y;
  }
  bool describe(Program& program) const override {
    program.relu(convolution_.describe(program, program.result()));
    if (pool_) program.max_pool(program.result(), kStemPool);
    return true;
  }
  std::vector<Parameter*> parameters() override {
    std::vector<Parameter*> all;
    convolution_.add_to(all);
    return all;
  }
  std::vector<Buffer*> buffers() override {
    std::vector<Buffer*> all;
    convolution_.add_to(all);
    return all;
  }

 private:
  NormedConvolution convolution_;
  bool pool_;
};

/// ReLU(f(x) + shortcut(x)): f is two convolutions of 3x3, or in a bottleneck 1x1, 3x3, 1x1, with
/// ReLU between them; the shortcut is x itself, or where f changes its shape a convolution of 1x1.
class ResNetBlock : public Unit {
 public:
  struct Options {
    int64_t in = 0, width = 0, stride = 1;
    bool bottleneck = false, zero_norm = false;
    c10::Device device = c10::kCPU;  // of its values
    int64_t out() const { return bottleneck ? kExpansion * width : width; }
  };
  ResNetBlock(const std::string& name, const Options& o) {
    const auto add = [&](int64_t in, int64_t out, const Window& window) {
      const std::string number = std::to_string(layers_.size() + 1);
      layers_.emplace_back(concat(name, ".conv", number), concat(name, ".bn", number),
                           Convolution::Options{in, out, window, false, false, o.device});
    };
    layers_.reserve(3);
    if (o.bottleneck) add(o.in, o.width, {1, 1, 0});
    add(o.bottleneck ? o.width : o.in, o.width, {3, o.stride, 1});
    add(o.width, o.out(), o.bottleneck ? Window{1, 1, 0} : Window{3, 1, 1});
    layers_.back().norm.weight.starts_at_zero = o.zero_norm;
    if (o.stride == 1 && o.in == o.out()) return;
    shortcut_.emplace(
        name + ".downsample.0", name + ".downsample.1",
        Convolution::Options{o.in, o.out(), {1, o.stride, 0}, false, false, o.device});
  }

  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    at::Tensor y = x;
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
      y = layers_[i].forward_add_relu(y, {}, mode);
    }
    return layers_.back().forward_add_relu(y, shortcut_ ? shortcut_->forward(x, mode) : x, mode);
  }

  bool describe(Program& program) const override {
    const int x = program.result();
    int y = x;
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
      y = program.relu(layers_[i].describe(program, y));
    }
    y = layers_.back().describe(program, y);
    program.relu(program.add(y, shortcut_ ? shortcut_->describe(program, x) : x));
    return true;
  }

  std::vector<Parameter*> parameters() override { return all_of<Parameter>(); }
  std::vector<Buffer*> buffers() override { return all_of<Buffer>(); }

 private:
  template <class Kind>
  std::vector<Kind*> all_of() {
    std::vector<Kind*> all;
    for (NormedConvolution& layer : layers_) layer.add_to(all);
    if (shortcut_) shortcut_->add_to(all);
    return all;
  }

  std::vector<NormedConvolution> layers_;
  std::optional<NormedConvolution> shortcut_;
};

[[noreturn]] void refuse(const NetworkSpec& spec, const std::string& what) {
  throw Error(ExitCode::settings, concat("model ", spec.kind, ": ", what));
}

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = given;
  const int64_t depth = designs().at(spec.kind).depth;
  if (spec.depth != 0 && spec.depth != depth) {
    refuse(spec, concat("depth is ", spec.depth, "; this kind has ", depth, " layers"));
  }
  spec.depth = depth;
  if (!(spec.width_factor >= 0.25 && spec.width_factor <= 2)) {
    refuse(spec, concat("width_factor is ", spec.width_factor, "; give 0.25 to 2"));
  }
  const double width = kWidth * spec.width_factor;
  if (width != std::floor(width)) {
    refuse(spec, concat("width_factor ", spec.width_factor, " makes ", width, " of ", kWidth,
                        " channels, no whole number; give a multiple of 1/", kWidth));
  }
  if (std::any_of(spec.dropout.begin(), spec.dropout.end(), [](double p) { return p != 0; })) {
    refuse(spec, "has no dropout; leave model.dropout out");
  }
  spec.dropout.clear();
  return spec;
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  const Design& design = designs().at(spec.kind);
  const bool small = spec.stem == Stem::small;
  const auto width = static_cast<int64_t>(kWidth * spec.width_factor);
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<ResNetStem>(
      Convolution::Options{spec.input.channels, width, small ? Window{3, 1, 1} : Window{7, 2, 3},
                           false, true, device},
      !small));
  int64_t in = width;
  for (std::size_t stage = 0; stage < design.blocks.size(); ++stage) {
    for (int64_t i = 0; i < design.blocks[stage]; ++i) {
      ResNetBlock::Options options;
      options.in = in;
      options.width = width << stage;
      options.stride = stage > 0 && i == 0 ? 2 : 1;
      options.bottleneck = design.bottleneck;
      options.zero_norm = spec.zero_norm;
      options.device = device;
      units.push_back(std::make_unique<ResNetBlock>(concat("layer", stage + 1, ".", i), options));
      in = options.out();
    }
  }
  units.push_back(std::make_unique<PooledLinear>("fc", in, spec.classes, device));
  return units;
}

int64_t count(const NetworkSpec& spec) {
  return count_parameters(build(spec, c10::kMeta));
}

at::Tensor initial_weight(const Parameter& weight, RandomStream& stream) {
  const at::IntArrayRef sizes = weight.value.sizes();
  return weight.last_layer ? fan_in_uniform(sizes, stream) : he_normal(sizes, stream);
}

}  // namespace

NetworkFamily resnets() {
  NetworkFamily family{{}, FamilyOptions::residual, complete, count, build, initial_weight};
  for (const auto& [kind, design] : designs()) family.kinds.push_back(kind);
  std::sort(family.kinds.begin(), family.kinds.end(), [](const auto& one, const auto& other) {
    return designs().at(one).depth < designs().at(other).depth;
  });
  return family;
}

}  // namespace bitstill
