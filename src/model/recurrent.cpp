// LSTMs with attention for translation (Luong et al. 2015), as OpenNMT-py 3.5 has them.
#include <ATen/ops/zeros.h>

#include <cstdlib>

#include "bitstill/base/text.hpp"
#include "bitstill/model/blocks.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"
#include "layers.hpp"
#include "recurrent_step_decoder.hpp"
#include "recurrent_units.hpp"

namespace bitstill {
namespace {

constexpr double kInitialBound = 0.1;

[[noreturn]] void refuse(const NetworkSpec& spec, const std::string& what) {
  throw Error(ExitCode::settings, concat("model ", spec.kind, ": ", what));
}

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = given;
  if (spec.dropout.empty()) spec.dropout = {0};
  if (spec.dropout.size() != 1) refuse(spec, "dropout has several values; give one");
  if (spec.bidirectional && spec.size % 2 != 0) {
    refuse(spec, concat("size ", spec.size,
                        " is odd; an encoder that reads both ways needs two "
                        "halves"));
  }
  if (spec.tie == Tie::all && spec.source_pieces != spec.classes) {
    refuse(spec, concat("tie all needs a joint vocabulary; the source has ", spec.source_pieces,
                        " pieces, the target ", spec.classes));
  }
  return spec;
}

/// rows [n, size] -> logits [n, classes].
class Head final : public Unit {
 public:
  explicit Head(Affine affine) : affine_(std::move(affine)) {}
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    return linear(x, affine_.weight.value, affine_.bias.value, mode);
  }
  std::vector<Parameter*> parameters() override { return {&affine_.weight, &affine_.bias}; }

 private:
  Affine affine_;
};

/// oneDNN keeps the code of 1,024 products, each of its own sizes; batches of sentences have that
/// many, and they came to 0.4 GB in bf16. It reads this once, at its first product.
void keep_fewer_products() {
  constexpr const char* kMost = "128";
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", kMost, 0);
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  keep_fewer_products();
  const auto table = [&](const char* side, int64_t pieces) {
    return Parameter{concat(side, ".embeddings.make_embedding.emb_luts.0.weight"),
                     ParameterRole::weight, at::zeros({pieces, spec.size}, device)};
  };
  Parameter source = table("encoder", spec.source_pieces), target = table("decoder", spec.classes);
  Affine head("generator", {spec.classes, spec.size}, false, true, device);
  source.first_layer = true;
  if (spec.tie != Tie::none) {
    target.last_layer = true;
    head.weight.value = target.value;
  }
  if (spec.tie == Tie::all) {
    target.value = head.weight.value = source.value;
    source.last_layer = target.first_layer = head.weight.first_layer = true;
  }
  const double dropout = spec.dropout[0];
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<Embedding>(Side::source, std::move(source), dropout));
  units.push_back(std::make_unique<Encoder>(spec, dropout, device));
  units.push_back(std::make_unique<Embedding>(Side::target, std::move(target), dropout));
  units.push_back(std::make_unique<Decoder>(spec, dropout, device));
  units.push_back(std::make_unique<Head>(std::move(head)));
  return units;
}

int64_t count(const NetworkSpec& spec) {
  return Network(spec, build(spec, c10::kMeta)).parameter_count();
}

at::Tensor initial_value(const Parameter& parameter, RandomStream& stream) {
  return uniform(parameter.value.sizes(), kInitialBound, stream);
}

}  // namespace

NetworkFamily recurrent() {
  NetworkFamily family{{"lstm"}, FamilyOptions::recurrent, complete, count, build, initial_value};
  family.draws_biases = true;
  family.step_decoder = recurrent_step_decoder;
  return family;
}

}  // namespace bitstill
