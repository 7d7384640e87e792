#include "sentence_units.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <cstdlib>
#include <stdexcept>

#include "bitstill/base/text.hpp"
#include "bitstill/model/dropout.hpp"
#include "layers.hpp"

namespace bitstill {

at::Tensor SentenceUnit::forward(const at::Tensor& /*x*/, const ForwardMode& /*mode*/) {
  throw std::logic_error("a unit of sentences runs by pass()");
}

at::Tensor Head::forward(const at::Tensor& x, const ForwardMode& mode) {
  return linear(x, affine_.weight.value, affine_.bias.value, mode);
}

SentenceTables sentence_tables(const NetworkSpec& spec, const c10::Device& device) {
  const auto table = [&](const char* side, int64_t pieces) {
    return Parameter{concat(side, ".embeddings.make_embedding.emb_luts.0.weight"),
                     ParameterRole::weight, at::zeros({pieces, spec.size}, device)};
  };
  SentenceTables tables{table("encoder", spec.source_pieces), table("decoder", spec.classes),
                        Affine("generator", {spec.classes, spec.size}, false, true, device)};
  auto& [source, target, head] = tables;
  source.first_layer = true;
  if (spec.tie != Tie::none) {
    target.last_layer = true;
    head.weight.value = target.value;
  }
  if (spec.tie == Tie::all) {
    target.value = head.weight.value = source.value;
    source.last_layer = target.first_layer = head.weight.first_layer = true;
  }
  return tables;
}

void refuse_network(const NetworkSpec& spec, const std::string& what) {
  throw Error(ExitCode::settings, concat("model ", spec.kind, ": ", what));
}

NetworkSpec completed_sentences(const NetworkSpec& given) {
  NetworkSpec spec = given;
  if (spec.dropout.empty()) spec.dropout = {0};
  if (spec.dropout.size() != 1) refuse_network(spec, "dropout has several values; give one");
  if (spec.tie == Tie::all && spec.source_pieces != spec.classes) {
    refuse_network(spec, concat("tie all needs a joint vocabulary; the source has ",
                                spec.source_pieces, " pieces, the target ", spec.classes));
  }
  return spec;
}

void keep_fewer_products() {
  constexpr const char* kMost = "128";
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", kMost, 0);
}

at::Tensor dropped(const at::Tensor& x, double rate, uint64_t place, const ForwardMode& mode) {
  const at::Tensor factors = dropout_factors(x.sizes(), rate, place, mode, x.device());
  return factors.defined() ? x * factors : x;
}

}  // namespace bitstill
