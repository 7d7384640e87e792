#include "bitstill/metrics/scores.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bitstill {

std::vector<double> log_softmax(std::span<const float> logits) {
  std::vector<double> result(logits.size(), std::numeric_limits<double>::quiet_NaN());
  const bool finite =
      std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); });
  if (!finite || logits.empty()) return result;
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  const double log_sum = std::log(sum);
  for (std::size_t c = 0; c < logits.size(); ++c) result[c] = logits[c] - largest - log_sum;
  return result;
}

SampleScore score_sample(std::span<const float> logits, int64_t label) {
  const std::vector<double> logs = log_softmax(logits);
  const auto own = static_cast<std::size_t>(label);
  if (std::isnan(logs[own])) return {-1, static_cast<int64_t>(logits.size()), logs[own], logs[own]};
  const auto predicted = std::max_element(logits.begin(), logits.end()) - logits.begin();
  SampleScore score;
  score.predicted = predicted;
  for (std::size_t c = 0; c < logits.size(); ++c) {
    score.ahead += logits[c] > logits[own] || (logits[c] == logits[own] && c < own) ? 1 : 0;
  }
  score.loss = -logs[own];
  score.confidence = std::exp(logs[static_cast<std::size_t>(predicted)]);
  return score;
}

double kl_divergence(std::span<const double> reference, std::span<const double> model) {
  double sum = 0;
  for (std::size_t c = 0; c < reference.size(); ++c) {
    sum += std::exp(reference[c]) * (reference[c] - model[c]);
  }
  return std::isnan(sum) ? sum : std::max(sum, 0.0);
}

std::vector<ClassProbability> top_classes(std::span<const float> logits, int64_t most) {
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto kept = std::min<int64_t>(most, static_cast<int64_t>(order.size()));
  const std::vector<double> logs = log_softmax(logits);
  if (!logs.empty() && !std::isnan(logs[0])) {
    std::partial_sort(order.begin(), order.begin() + kept, order.end(), [&](int64_t a, int64_t b) {
      const float one = logits[static_cast<std::size_t>(a)];
      const float other = logits[static_cast<std::size_t>(b)];
      return one > other || (one == other && a < b);
    });
  }
  std::vector<ClassProbability> top;
  for (int64_t k = 0; k < kept; ++k) {
    const int64_t index = order[static_cast<std::size_t>(k)];
    top.push_back({index, std::exp(logs[static_cast<std::size_t>(index)])});
  }
  return top;
}

}  // namespace bitstill
