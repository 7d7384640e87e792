// A recurrent network of sentences as its formulas say, in loops over doubles, for one pair at a
// time: what tests compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/weights.hpp"

namespace bitstill {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

class PlainTranslation {
 public:
  explicit PlainTranslation(const Network& network)
      : spec_(network.spec()), stored_(stored_names(network)) {
    for (const auto& [name, tensor] : named_tensors(network)) {
      const at::Tensor flat = tensor.to(at::kCPU, at::kDouble).flatten();
      const auto* const first = flat.const_data_ptr<double>();
      values_[name].assign(first, first + flat.numel());
    }
  }

  double& value(const std::string& name, std::size_t i) { return values_.at(name).at(i); }

  /// Of each target position, <s> first: what the head takes, and what it gives.
  Rows hidden(const std::vector<int32_t>& source, const std::vector<int32_t>& target) const;
  Rows logits(const Rows& hidden) const {
    Rows all;
    for (const Row& row : hidden) all.push_back(affine("generator.weight", row, "generator.bias"));
    return all;
  }
  /// Cross-entropies of target and its end, added.
  double loss(const std::vector<int32_t>& source, const std::vector<int32_t>& target) const;

 private:
  struct State {
    Row h, c;
  };
  std::size_t size() const { return static_cast<std::size_t>(spec_.size); }
  const Row& of(const std::string& name) const { return values_.at(stored_.at(name)); }

  Row affine(const std::string& weight, const Row& x, const std::string& bias = "") const {
    const Row& w = of(weight);
    Row y(w.size() / x.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = bias.empty() ? 0 : of(bias)[i];
      for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
    }
    return y;
  }

  Row embedded(const std::string& side, int64_t id) const {
    const Row& table = of(side + ".embeddings.make_embedding.emb_luts.0.weight");
    const auto first = table.begin() + id * spec_.size;
    return {first, first + spec_.size};
  }

  State step(const std::string& prefix, const std::string& suffix, const Row& x,
             const State& before) const {
    Row gates = affine(prefix + "weight_ih" + suffix, x, prefix + "bias_ih" + suffix);
    const Row more = affine(prefix + "weight_hh" + suffix, before.h, prefix + "bias_hh" + suffix);
    for (std::size_t i = 0; i < gates.size(); ++i) gates[i] += more[i];
    const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    const std::size_t n = before.h.size();
    State after{Row(n), Row(n)};
    for (std::size_t i = 0; i < n; ++i) {
      after.c[i] =
          sigmoid(gates[n + i]) * before.c[i] + sigmoid(gates[i]) * std::tanh(gates[2 * n + i]);
      after.h[i] = sigmoid(gates[3 * n + i]) * std::tanh(after.c[i]);
    }
    return after;
  }

  /// Outputs of the last layer at each word, and the decoder's first state.
  std::pair<Rows, std::vector<State>> encode(const std::vector<int32_t>& source) const;
  void bridge(const char* number, std::vector<Row*> states) const;
  Row attend(const Rows& memory, const Row& h) const;

  NetworkSpec spec_;
  std::map<std::string, std::string> stored_;
  std::map<std::string, Row> values_;
};

inline void append(Row& row, const Row& more) {
  row.insert(row.end(), more.begin(), more.end());
}

/// States of one direction, which the layers have one behind the other.
inline void PlainTranslation::bridge(const char* number, std::vector<Row*> states) const {
  Row together;
  for (const Row* state : states) append(together, *state);
  const std::string prefix = std::string("encoder.bridge.") + number;
  const Row mapped = affine(prefix + ".weight", together, prefix + ".bias");
  std::size_t next = 0;
  for (Row* state : states) {
    for (double& v : *state) v = std::max(0.0, mapped[next++]);
  }
}

inline std::pair<Rows, std::vector<PlainTranslation::State>> PlainTranslation::encode(
    const std::vector<int32_t>& source) const {
  const std::size_t directions = spec_.bidirectional ? 2 : 1, own = size() / directions;
  const std::size_t words = source.size(), layers = static_cast<std::size_t>(spec_.layers);
  Rows x;
  for (const int32_t id : source) x.push_back(embedded("encoder", id));
  std::vector<State> states;  // layer after layer, forward and backward
  for (std::size_t layer = 0; layer < layers; ++layer) {
    Rows y(words);
    for (std::size_t direction = 0; direction < directions; ++direction) {
      const std::string suffix = "_l" + std::to_string(layer) + (direction == 0 ? "" : "_reverse");
      State state{Row(own), Row(own)};
      Rows outputs(words);
      for (std::size_t i = 0; i < words; ++i) {
        const std::size_t at = direction == 0 ? i : words - 1 - i;
        state = step("encoder.rnn.", suffix, x[at], state);
        outputs[at] = state.h;
      }
      for (std::size_t i = 0; i < words; ++i) append(y[i], outputs[i]);
      states.push_back(state);
    }
    x = y;
  }
  if (spec_.bridge) {  // OpenNMT-py's view: `layers` states at a time, whatever their direction
    for (std::size_t first = 0; first < states.size(); first += layers) {
      std::vector<Row*> h, c;
      for (std::size_t i = first; i < first + layers; ++i) {
        h.push_back(&states[i].h);
        c.push_back(&states[i].c);
      }
      bridge("0", h);
      bridge("1", c);
    }
  }
  std::vector<State> joined;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    joined.push_back(states[layer * directions]);
    if (directions == 1) continue;
    append(joined.back().h, states[layer * 2 + 1].h);
    append(joined.back().c, states[layer * 2 + 1].c);
  }
  return {x, joined};
}

inline Row PlainTranslation::attend(const Rows& memory, const Row& h) const {
  const Row query = affine("decoder.attn.linear_in.weight", h);
  Row share, context(size());
  double total = 0;
  for (const Row& word : memory) {
    double score = 0;
    for (std::size_t i = 0; i < size(); ++i) score += word[i] * query[i];
    share.push_back(std::exp(score));
    total += share.back();
  }
  for (std::size_t s = 0; s < memory.size(); ++s) {
    for (std::size_t i = 0; i < size(); ++i) context[i] += share[s] / total * memory[s][i];
  }
  append(context, h);
  Row y = affine("decoder.attn.linear_out.weight", context);
  for (double& v : y) v = std::tanh(v);
  return y;
}

inline Rows PlainTranslation::hidden(const std::vector<int32_t>& source,
                                     const std::vector<int32_t>& target) const {
  auto [memory, states] = encode(source);
  Row fed(size());
  Rows all;
  for (std::size_t t = 0; t <= target.size(); ++t) {
    Row x = embedded("decoder", t == 0 ? spec_.ends.begin : target[t - 1]);
    if (spec_.input_feed) append(x, fed);
    for (std::size_t layer = 0; layer < states.size(); ++layer) {
      const std::string number = std::to_string(layer);
      states[layer] = spec_.input_feed
                          ? step("decoder.rnn.layers." + number + ".", "", x, states[layer])
                          : step("decoder.rnn.", "_l" + number, x, states[layer]);
      x = states[layer].h;
    }
    fed = attend(memory, x);
    all.push_back(fed);
  }
  return all;
}

inline double PlainTranslation::loss(const std::vector<int32_t>& source,
                                     const std::vector<int32_t>& target) const {
  double total = 0;
  const Rows rows = logits(hidden(source, target));
  for (std::size_t t = 0; t < rows.size(); ++t) {
    double sum = 0;
    for (const double logit : rows[t]) sum += std::exp(logit);
    const int64_t label = t < target.size() ? target[t] : spec_.ends.end;
    total += std::log(sum) - rows[t][static_cast<std::size_t>(label)];
  }
  return total;
}

}  // namespace bitstill
