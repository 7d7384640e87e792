// LSTMs with attention for translation (Luong et al. 2015), as OpenNMT-py 3.5 has them.
#include "bitstill/base/text.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"
#include "recurrent_step_decoder.hpp"
#include "recurrent_units.hpp"

namespace bitstill {
namespace {

constexpr double kInitialBound = 0.1;

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = completed_sentences(given);
  if (spec.bidirectional && spec.size % 2 != 0) {
    refuse_network(spec, concat("size ", spec.size,
                                " is odd; an encoder that reads both ways needs two halves"));
  }
  return spec;
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  keep_fewer_products();
  SentenceTables tables = sentence_tables(spec, device);
  const double dropout = spec.dropout[0];
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<Embedding>(Side::source, std::move(tables.source), dropout));
  units.push_back(std::make_unique<Encoder>(spec, device));
  units.push_back(std::make_unique<Embedding>(Side::target, std::move(tables.target), dropout));
  units.push_back(std::make_unique<Decoder>(spec, device));
  units.push_back(std::make_unique<Head>(std::move(tables.head)));
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
