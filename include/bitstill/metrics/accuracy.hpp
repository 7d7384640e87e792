// Counts that add across ranks exactly, whatever the order.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace bitstill {

/// Sums over samples. The loss is kept in units of 2^-24 as an integer, so sums are exact.
struct ClassificationCounts {
  int64_t samples = 0;
  int64_t correct = 0;
  int64_t loss_units = 0;
  void add_loss(double loss);  // one sample's cross-entropy; clamped to [0, 2^20]
  ClassificationCounts& operator+=(const ClassificationCounts& other);
  double accuracy() const;  // in percent; 0 without samples
  double mean_loss() const;
  double perplexity() const;  // exp(mean_loss), of sentences' tokens
};

/// Wilson's 95 % interval for a proportion, in percent.
std::pair<double, double> wilson_interval(int64_t correct, int64_t samples);

/// "97.40 % (95 % interval 96.30 to 98.20)"; "none" without samples, where 0 % would be an answer.
std::string accuracy_text(const ClassificationCounts& counts);
/// "perplexity 8.310, 55.20 % of 15010 tokens"; "none" without.
std::string perplexity_text(const ClassificationCounts& counts);

}  // namespace bitstill
