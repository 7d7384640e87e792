#include "bitstill/metrics/accuracy.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace bitstill {
namespace {

constexpr double kLossUnit = 0x1p-24;
constexpr double kMostLoss = 0x1p20;

}  // namespace

void ClassificationCounts::add_loss(double loss) {
  // A loss that is not a number counts as the largest one: it must not look good.
  const double kept = std::isnan(loss) ? kMostLoss : std::clamp(loss, 0.0, kMostLoss);
  loss_units += std::llround(kept / kLossUnit);
}

ClassificationCounts& ClassificationCounts::operator+=(const ClassificationCounts& other) {
  samples += other.samples;
  correct += other.correct;
  loss_units += other.loss_units;
  return *this;
}

double ClassificationCounts::accuracy() const {
  return samples > 0 ? 100.0 * static_cast<double>(correct) / static_cast<double>(samples) : 0;
}

double ClassificationCounts::mean_loss() const {
  return samples > 0 ? static_cast<double>(loss_units) * kLossUnit / static_cast<double>(samples)
                     : 0;
}

double ClassificationCounts::perplexity() const {
  return std::exp(mean_loss());
}

std::pair<double, double> wilson_interval(int64_t correct, int64_t samples) {
  if (samples <= 0) return {0, 100};        // nothing is known
  constexpr double kZ = 1.959963984540054;  // 97.5 % quantile of the normal distribution
  const auto n = static_cast<double>(samples);
  const double p = static_cast<double>(correct) / n;
  const double scale = 1 / (1 + kZ * kZ / n);
  const double middle = scale * (p + kZ * kZ / (2 * n));
  const double half = scale * kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  return {100 * std::max(0.0, middle - half), 100 * std::min(1.0, middle + half)};
}

std::string accuracy_text(const ClassificationCounts& counts) {
  if (counts.samples == 0) return "none";
  const auto [low, high] = wilson_interval(counts.correct, counts.samples);
  char text[80];
  std::snprintf(text, sizeof text, "%.2f %% (95 %% interval %.2f to %.2f)", counts.accuracy(), low,
                high);
  return text;
}

std::string perplexity_text(const ClassificationCounts& counts) {
  if (counts.samples == 0) return "none";
  char text[80];
  std::snprintf(text, sizeof text, "perplexity %.3f, %.2f %% of %lld tokens", counts.perplexity(),
                counts.accuracy(), static_cast<long long>(counts.samples));
  return text;
}

}  // namespace bitstill
