// The paper's convolutional networks, scaled to any input size and number of classes.
#include <algorithm>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/model/blocks.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"

namespace bitstill {
namespace {

struct Design {
  std::vector<int64_t> widths, kernels, pools, hidden;
  std::vector<double> dropout;
};

const std::map<std::string, Design>& designs() {
  static const std::map<std::string, Design> all = {
      {"teacher",
       {{76, 76, 126, 126, 148, 148, 148, 148},
        {3},
        {2, 4, 8},
        {1200, 1200},
        {0, .2, 0, .3, 0, 0, 0, .35, .4, .4}}},
      {"student1", {{75, 50, 50, 25}, {5}, {2, 4}, {500}, {0, .2, 0, .3, .4}}},
      {"student2", {{50, 25, 25, 10}, {5}, {2, 4}, {400}, {0, .2, 0, .3, .4}}},
      {"student3", {{25, 10, 10, 5}, {5}, {2, 4}, {300}, {0, .2, 0, .3, .4}}},
      {"deeper",
       {{76, 76, 76, 126, 126, 126, 148, 148, 148, 148, 148},
        {3},
        {3, 6, 11},
        {1000, 1000, 1000},
        {0, 0, .2, 0, 0, .3, 0, 0, 0, 0, .35, .4, .4, .4}}},
      {"convnet", {{}, {}, {}, {}, {0}}},
  };
  return all;
}

[[noreturn]] void refuse(const NetworkSpec& spec, const std::string& what) {
  throw Error(ExitCode::settings, concat("model ", spec.kind, ": ", what));
}

template <class Value>
void fill(const NetworkSpec& spec, const char* name, std::vector<Value>& list, std::size_t layers) {
  if (list.size() == 1) list.resize(layers, list[0]);
  if (list.size() != layers) {
    refuse(spec, concat(name, " has ", list.size(), " values for ", layers, " layers"));
  }
}

bool pooled(const NetworkSpec& spec, std::size_t convolution) {
  return std::count(spec.pools.begin(), spec.pools.end(), convolution + 1) > 0;
}

/// What the convolutions leave of the input.
ImageShape after_convolutions(const NetworkSpec& spec) {
  ImageShape shape = spec.input;
  for (std::size_t i = 0; i < spec.widths.size(); ++i) {
    shape.channels = spec.widths[i];
    if (!pooled(spec, i)) continue;
    if (shape.height < 2 || shape.width < 2) {
      refuse(spec, concat("the pool after convolution ", i + 1, " leaves no pixel of ",
                          spec.input.height, " x ", spec.input.width, " images; use fewer pools"));
    }
    shape.height /= 2;
    shape.width /= 2;
  }
  return shape;
}

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = given;
  const Design& design = designs().at(spec.kind);
  if (spec.widths.empty()) spec.widths = design.widths;
  if (spec.kernels.empty()) spec.kernels = design.kernels;
  if (spec.pools.empty()) spec.pools = design.pools;
  if (spec.hidden.empty()) spec.hidden = design.hidden;
  if (spec.dropout.empty()) spec.dropout = design.dropout;
  const std::size_t layers = spec.widths.size() + spec.hidden.size();
  if (layers == 0) refuse(spec, "has no layers; set model.widths and model.kernels");
  if (!spec.widths.empty() || !spec.kernels.empty()) {
    fill(spec, "kernels", spec.kernels, spec.widths.size());
  }
  fill(spec, "dropout", spec.dropout, layers);
  for (const int64_t pool : spec.pools) {
    if (pool > static_cast<int64_t>(spec.widths.size()) ||
        std::count(spec.pools.begin(), spec.pools.end(), pool) > 1) {
      refuse(spec, concat("pools names convolution ", pool, " twice, or there are only ",
                          spec.widths.size()));
    }
  }
  after_convolutions(spec);
  return spec;
}

int64_t count(const NetworkSpec& spec) {
  // A double: with widths of 65,536 a thousand layers would overflow.
  double total = 0, in = static_cast<double>(spec.input.channels);
  for (std::size_t i = 0; i < spec.widths.size(); ++i) {
    const auto out = static_cast<double>(spec.widths[i]), k = static_cast<double>(spec.kernels[i]);
    total += out * (in * k * k + 3);  // bias, norm weight and bias
    in = out;
  }
  in = static_cast<double>(after_convolutions(spec).pixels());
  for (const int64_t width : spec.hidden) {
    total += static_cast<double>(width) * (in + 3);
    in = static_cast<double>(width);
  }
  total += static_cast<double>(spec.classes) * (in + 1);
  return static_cast<int64_t>(std::min(total, 9e18));
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  std::vector<std::unique_ptr<Unit>> units;
  int64_t module = 0, in = spec.input.channels;
  for (std::size_t i = 0; i < spec.widths.size(); ++i) {
    ConvolutionBlock::Options options;
    options.in = in;
    options.out = in = spec.widths[i];
    options.kernel = spec.kernels[i];
    options.pool = pooled(spec, i);
    options.first = i == 0;
    options.dropout = spec.dropout[i];
    options.device = device;
    units.push_back(std::make_unique<ConvolutionBlock>(options, module, units.size()));
    module += options.pool ? 4 : 3;
  }
  ++module;  // Flatten
  in = after_convolutions(spec).pixels();
  for (std::size_t i = 0; i <= spec.hidden.size(); ++i) {
    LinearBlock::Options options;
    options.last = i == spec.hidden.size();
    options.in = in;
    options.out = in = options.last ? spec.classes : spec.hidden[i];
    options.first = units.empty();
    options.dropout = options.last ? 0 : spec.dropout[spec.widths.size() + i];
    options.device = device;
    units.push_back(std::make_unique<LinearBlock>(options, module, units.size()));
    module += 3;
  }
  return units;
}

at::Tensor initial_weight(const Parameter& weight, RandomStream& stream) {
  return xavier_uniform(weight.value.sizes(), 1, stream);
}

}  // namespace

NetworkFamily convnets() {
  NetworkFamily family{{}, FamilyOptions::convnet, complete, count, build, initial_weight};
  for (const auto& [kind, design] : designs()) family.kinds.push_back(kind);
  return family;
}

}  // namespace bitstill
