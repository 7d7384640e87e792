// Transformers for translation (Vaswani et al. 2017), their norms before each part, as OpenNMT-py
// 3.5 has them: no biases in attention, ReLU, sinusoidal positions.
#include "bitstill/base/text.hpp"
#include "bitstill/model/registry.hpp"
#include "initial_values.hpp"
#include "transformer_step_decoder.hpp"
#include "transformer_units.hpp"

namespace bitstill {
namespace {

NetworkSpec complete(const NetworkSpec& given) {
  NetworkSpec spec = completed_sentences(given);
  if (spec.decoder_layers == 0) spec.decoder_layers = spec.layers;
  if (spec.filter == 0) spec.filter = 4 * spec.size;
  if (spec.size % 2 != 0) {
    refuse_network(spec, concat("size ", spec.size,
                                " is odd; positions are encoded by pairs of sine and cosine"));
  }
  if (spec.size % spec.heads != 0) {
    refuse_network(spec, concat("size ", spec.size, " does not divide into ", spec.heads,
                                " heads; give a multiple, or other heads"));
  }
  return spec;
}

std::vector<std::unique_ptr<Unit>> build(const NetworkSpec& spec, const c10::Device& device) {
  keep_fewer_products();
  SentenceTables tables = sentence_tables(spec, device);
  const double dropout = spec.dropout[0];
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<PositionedEmbedding>(Side::source, std::move(tables.source),
                                                        dropout, units.size()));
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    units.push_back(std::make_unique<EncoderLayer>(spec, layer, units.size(), device));
  }
  units.push_back(std::make_unique<FinalNorm>(Side::source, spec.size, device));
  units.push_back(std::make_unique<PositionedEmbedding>(Side::target, std::move(tables.target),
                                                        dropout, units.size()));
  for (int64_t layer = 0; layer < spec.decoder_layers; ++layer) {
    units.push_back(std::make_unique<DecoderLayer>(spec, layer, units.size(), device));
  }
  units.push_back(std::make_unique<FinalNorm>(Side::target, spec.size, device));
  units.push_back(std::make_unique<Head>(std::move(tables.head)));
  return units;
}

int64_t count(const NetworkSpec& spec) {
  return Network(spec, build(spec, c10::kMeta)).parameter_count();
}

at::Tensor initial_value(const Parameter& weight, RandomStream& stream) {
  return xavier_uniform(weight.value.sizes(), 1, stream);
}

}  // namespace

NetworkFamily transformers() {
  NetworkFamily family{{"transformer"}, FamilyOptions::transformer, complete, count, build,
                       initial_value};
  family.step_decoder = transformer_step_decoder;
  return family;
}

}  // namespace bitstill
