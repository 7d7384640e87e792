// Wide residual networks (Zagoruyko and Komodakis 2016) as the paper trains them: every convolution
// has a bias, the shortcut takes the raw input, the stride is in a block's second convolution.
#include <ATen/TensorOperators.h>

#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/model/dropout.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"
#include "residual_parts.hpp"

namespace bitstill {
namespace {

constexpr int64_t kStages = 3;
constexpr int64_t kWidth = 16;  // of the first convolution; the first stage's by the width factor
constexpr double kLastNormMomentum = 0.9;

class WideStem : public Unit {
 public:
  explicit WideStem(const Convolution::Options& options) : convolution_("conv1", options) {}
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    return convolution_.forward(x, mode);
  }
  bool describe(Program& program) const override {
    convolution_.describe(program, program.result());
    return true;
  }
  std::vector<Parameter*> parameters() override {
    std::vector<Parameter*> all;
    convolution_.add_to(all);
    return all;
  }

 private:
  Convolution convolution_;
};

/// f(x) + shortcut(x): f is norm -> ReLU -> convolution [-> dropout] twice, without a second
/// dropout; the shortcut is x itself, or where f changes its shape a convolution of 1x1.
class WideBlock : public Unit {
 public:
  struct Options {
    int64_t in = 0, out = 0, stride = 1;
    double dropout = 0;
    c10::Device device = c10::kCPU;  // of its values
  };
  /// `unit` numbers the unit for its dropout.
  WideBlock(const std::string& name, const Options& o, uint64_t unit)
      : unit_(unit),
        dropout_(o.dropout),
        norm1_(name + ".bn1", o.in, o.device),
        norm2_(name + ".bn2", o.out, o.device),
        convolution1_(name + ".conv1", {o.in, o.out, {3, 1, 1}, true, false, o.device}),
        convolution2_(name + ".conv2", {o.out, o.out, {3, o.stride, 1}, true, false, o.device}) {
    if (o.stride == 1 && o.in == o.out) return;
    shortcut_.emplace(name + ".shortcut.0",
                      Convolution::Options{o.in, o.out, {1, o.stride, 0}, true, false, o.device});
  }

  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    at::Tensor y = convolution1_.forward(norm1_.forward_add_relu(x, {}, mode), mode);
    y = element_dropout(y, dropout_, unit_, mode);
    y = convolution2_.forward(norm2_.forward_add_relu(y, {}, mode), mode);
    return y + (shortcut_ ? shortcut_->forward(x, mode) : x);
  }

  bool describe(Program& program) const override {
    const int x = program.result();
    int y = program.relu(program.norm(x, norm1_.names()));
    y = program.relu(program.norm(convolution1_.describe(program, y), norm2_.names()));
    y = convolution2_.describe(program, y);
    program.add(y, shortcut_ ? shortcut_->describe(program, x) : x);
    return true;
  }

  std::vector<Parameter*> parameters() override {
    std::vector<Parameter*> all;
    add_norm(norm1_, all);
    convolution1_.add_to(all);
    add_norm(norm2_, all);
    convolution2_.add_to(all);
    if (shortcut_) shortcut_->add_to(all);
    return all;
  }

  std::vector<Buffer*> buffers() override {
    std::vector<Buffer*> all;
    add_norm(norm1_, all);
    add_norm(norm2_, all);
    return all;
  }

 private:
  uint64_t unit_;
  double dropout_;
  BatchNorm norm1_, norm2_;
  Convolution convolution1_, convolution2_;
  std::optional<Convolution> shortcut_;
};

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::settings, concat("model wrn: ", what));
}

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = given;
  if (spec.depth < 10 || (spec.depth - 4) % 6 != 0) {
    refuse(concat("depth is ", spec.depth, "; give model.depth = 6n + 4: 10, 16, 22, 28, ..."));
  }
  if (spec.width_factor < 1 || spec.width_factor != std::floor(spec.width_factor)) {
    refuse(concat("width_factor is ", spec.width_factor, "; give a whole number from 1 to 32"));
  }
  if (spec.stem != Stem::imagenet || spec.zero_norm) {
    refuse("has no other stem and no zero_norm; leave model.stem and model.zero_norm out");
  }
  if (spec.dropout.empty()) spec.dropout = {0};
  if (spec.dropout.size() > 1) refuse("has one dropout rate for all blocks; give one value");
  return spec;
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  std::vector<std::unique_ptr<Unit>> units;
  const auto factor = static_cast<int64_t>(spec.width_factor);
  units.push_back(std::make_unique<WideStem>(
      Convolution::Options{spec.input.channels, kWidth, {3, 1, 1}, true, true, device}));
  int64_t in = kWidth;
  for (int64_t stage = 0; stage < kStages; ++stage) {
    for (int64_t i = 0; i < (spec.depth - 4) / 6; ++i) {
      WideBlock::Options options;
      options.in = in;
      options.out = in = (kWidth * factor) << stage;
      options.stride = stage > 0 && i == 0 ? 2 : 1;
      options.dropout = spec.dropout[0];
      options.device = device;
      units.push_back(
          std::make_unique<WideBlock>(concat("layer", stage + 1, ".", i), options, units.size()));
    }
  }
  BatchNorm norm("bn1", in, device);
  norm.mean.momentum = norm.variance.momentum = kLastNormMomentum;
  units.push_back(
      std::make_unique<PooledLinear>("linear", in, spec.classes, device, std::move(norm)));
  return units;
}

int64_t count(const NetworkSpec& spec) {
  return count_parameters(build(spec, c10::kMeta));
}

at::Tensor initial_weight(const Parameter& weight, RandomStream& stream) {
  const at::IntArrayRef sizes = weight.value.sizes();
  return weight.last_layer ? fan_in_uniform(sizes, stream)
                           : xavier_uniform(sizes, std::sqrt(2.0), stream);
}

}  // namespace

NetworkFamily wide_resnets() {
  return {{"wrn"}, FamilyOptions::residual, complete, count, build, initial_weight};
}

}  // namespace bitstill
