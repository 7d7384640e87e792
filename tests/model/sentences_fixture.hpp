// Random sentences and small networks for them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/data/batch.hpp"
#include "bitstill/model/flow.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

using Ids = std::vector<int32_t>;
using Pair = std::pair<Ids, Ids>;

inline Ids random_ids(int64_t count, int64_t pieces, RandomStream& stream) {
  Ids ids;
  for (int64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<int32_t>(stream.below(static_cast<uint64_t>(pieces))));
  }
  return ids;
}

/// With these numbers of tokens.
inline std::vector<Pair> random_pairs(const NetworkSpec& spec,
                                      const std::vector<SentenceLengths>& lengths) {
  RandomStream stream(11, StreamPurpose::order);
  std::vector<Pair> pairs;
  for (const SentenceLengths& length : lengths) {
    Ids source = random_ids(length.source, spec.source_pieces, stream);
    pairs.emplace_back(std::move(source), random_ids(length.target, spec.classes, stream));
  }
  return pairs;
}

inline Batch batch_of(const std::vector<Pair>& pairs) {
  Batch batch;
  for (const auto& [source, target] : pairs) {
    batch.rows.push_back(batch.count());
    batch.tokens.insert(batch.tokens.end(), source.begin(), source.end());
    batch.tokens.insert(batch.tokens.end(), target.begin(), target.end());
    batch.lengths.push_back(
        {static_cast<int32_t>(source.size()), static_cast<int32_t>(target.size())});
  }
  return batch;
}

inline Tokens tokens_of(const NetworkSpec& spec, const std::vector<Pair>& pairs) {
  return to_tokens(batch_of(pairs), spec.ends, at::kCPU);
}

struct Shape {
  int64_t layers = 1, size = 6;
  bool bidirectional = false, input_feed = true, bridge = false;
  Tie tie = Tie::none;
};

inline NetworkSpec lstm_spec(const Shape& shape) {
  NetworkSpec spec;
  spec.kind = "lstm";
  spec.layers = shape.layers;
  spec.size = shape.size;
  spec.bidirectional = shape.bidirectional;
  spec.input_feed = shape.input_feed;
  spec.bridge = shape.bridge;
  spec.tie = shape.tie;
  spec.classes = 13;
  spec.source_pieces = shape.tie == Tie::all ? 13 : 11;
  spec.ends = {1, 2};
  return spec;
}

/// Weights of ten times their usual size, so that states leave the linear range.
inline std::unique_ptr<Network> lstm(const NetworkSpec& spec, double scale = 10) {
  auto network = make_network(spec);
  initialize(*network, 3);
  for (Parameter* parameter : network->parameters()) parameter->value.mul_(scale);
  return network;
}

inline const std::vector<Shape> kShapes = {
    {1, 7, false, true, false, Tie::none},  {1, 6, true, true, false, Tie::decoder},
    {2, 5, false, false, true, Tie::none},  {2, 6, true, true, true, Tie::all},
    {2, 10, true, false, false, Tie::none}, {1, 1, false, true, false, Tie::decoder}};

struct TransformerShape {
  int64_t layers = 1, decoder_layers = 1, size = 8, heads = 2, filter = 12;
  Tie tie = Tie::none;
};

inline NetworkSpec transformer_spec(const TransformerShape& shape) {
  NetworkSpec spec = lstm_spec({shape.layers, shape.size});
  spec.kind = "transformer";
  spec.decoder_layers = shape.decoder_layers;
  spec.heads = shape.heads;
  spec.filter = shape.filter;
  spec.tie = shape.tie;
  if (shape.tie == Tie::all) spec.source_pieces = spec.classes;
  return spec;
}

/// Weights of `scale` times their usual size, biases and norms that are not 0 and 1.
inline std::unique_ptr<Network> transformer(const NetworkSpec& spec, double scale = 2) {
  auto network = make_network(spec);
  initialize(*network, 3);
  RandomStream stream(4, StreamPurpose::order);
  for (Parameter* parameter : network->parameters()) {
    if (parameter->role == ParameterRole::weight) {
      parameter->value.mul_(scale);
      continue;
    }
    float* const value = parameter->value.mutable_data_ptr<float>();
    for (int64_t i = 0; i < parameter->value.numel(); ++i) value[i] += stream.uniform() - 0.5f;
  }
  return network;
}

inline const std::vector<TransformerShape> kTransformerShapes = {{1, 1, 8, 2, 12, Tie::none},
                                                                 {2, 1, 10, 5, 7, Tie::decoder},
                                                                 {1, 3, 12, 1, 9, Tie::all},
                                                                 {2, 2, 36, 2, 50, Tie::none}};

inline const std::vector<SentenceLengths> kLengths = {{3, 5}, {7, 0}, {1, 2}, {5, 9}, {4, 4}};

}  // namespace bitstill
