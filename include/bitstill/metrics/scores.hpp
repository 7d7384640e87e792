// What a network's answer to one sample says: plain sums in double, in order, so that equal logits
// give equal scores wherever they are computed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitstill {

/// log softmax [classes], natural; NaN throughout when a logit is NaN or infinite.
std::vector<double> log_softmax(std::span<const float> logits);

struct SampleScore {
  int64_t predicted = -1;  // the first of the largest logits; -1: they are not finite
  int64_t ahead = 0;       // classes placed before the label's: 0 when it is predicted
  double loss = 0;         // cross-entropy, -log_softmax[label]
  double confidence = 0;   // softmax of the predicted class
};

/// Classes with a larger logit stand ahead of the label, and of equal ones those of lower number.
/// Not finite: no class is predicted, all stand ahead of the label, loss and confidence are NaN.
SampleScore score_sample(std::span<const float> logits, int64_t label);

/// sum_c p_c (log p_c - log q_c) >= 0 of two log softmaxes, the reference's first; in nats.
double kl_divergence(std::span<const double> reference, std::span<const double> model);

struct ClassProbability {
  int64_t index = 0;
  double probability = 0;
};
/// The `most` most probable classes, or all; equal ones by number. NaN logits give NaN.
std::vector<ClassProbability> top_classes(std::span<const float> logits, int64_t most);

}  // namespace bitstill
