#include "bitstill/metrics/tally.hpp"

#include <algorithm>
#include <cmath>

namespace bitstill {
namespace {

constexpr double kConfidenceUnit = 0x1p-24;

/// (b/15, (b+1)/15] in whole units: no rounding decides at an edge.
int64_t bin_of(int64_t confidence_units) {
  return (std::max<int64_t>(confidence_units, 1) * kConfidenceBins - 1) >> 24;
}

}  // namespace

ClassificationTally::ClassificationTally(int64_t classes) : classes_(classes) {
  const int64_t matrix = has_confusion() ? classes * classes : 0;
  sums_.resize(kClasses + static_cast<std::size_t>(2 * classes + matrix));
}

void ClassificationTally::add(const SampleScore& score, int64_t label) {
  const bool correct = score.predicted == label;
  ClassificationCounts one{1, correct ? 1 : 0, 0};
  one.add_loss(score.loss);
  sums_[kSamples] += 1;
  sums_[kCorrect] += one.correct;
  sums_[kLoss] += one.loss_units;
  sums_[kInTop] += score.ahead < top() ? 1 : 0;
  const auto own = kClasses + static_cast<std::size_t>(2 * label);
  sums_[own] += 1;
  sums_[own + 1] += one.correct;
  if (score.predicted < 0) {
    sums_[kNotFinite] += 1;
    return;
  }
  const int64_t units = std::llround(std::clamp(score.confidence, 0.0, 1.0) / kConfidenceUnit);
  const auto bin = kBins + static_cast<std::size_t>(3 * bin_of(units));
  sums_[bin] += 1;
  sums_[bin + 1] += one.correct;
  sums_[bin + 2] += units;
  if (!has_confusion()) return;
  sums_[kClasses + static_cast<std::size_t>((2 + label) * classes_ + score.predicted)] += 1;
}

ClassificationCounts ClassificationTally::counts() const {
  return {sums_[kSamples], sums_[kCorrect], sums_[kLoss]};
}

ClassificationCounts ClassificationTally::of_class(int64_t label) const {
  const auto own = kClasses + static_cast<std::size_t>(2 * label);
  return {sums_[own], sums_[own + 1], 0};
}

int64_t ClassificationTally::confusion(int64_t label, int64_t predicted) const {
  return sums_.at(kClasses + static_cast<std::size_t>((2 + label) * classes_ + predicted));
}

ConfidenceBin ClassificationTally::bin(int64_t b) const {
  const auto at = kBins + static_cast<std::size_t>(3 * b);
  ConfidenceBin bin{sums_[at], sums_[at + 1], 0};
  if (bin.samples > 0) {
    bin.confidence =
        static_cast<double>(sums_[at + 2]) * kConfidenceUnit / static_cast<double>(bin.samples);
  }
  return bin;
}

double ClassificationTally::calibration_error() const {
  // n_b |correct_b / n_b - confidence_b / n_b| = |correct_b - confidence_b|, in whole units.
  int64_t units = 0, samples = 0;
  for (std::size_t at = kBins; at < kClasses; at += 3) {
    samples += sums_[at];
    units += std::abs((sums_[at + 1] << 24) - sums_[at + 2]);
  }
  return samples > 0
             ? 100 * static_cast<double>(units) * kConfidenceUnit / static_cast<double>(samples)
             : 0;
}

std::vector<Confusion> largest_confusions(const ClassificationTally& tally, std::size_t most) {
  std::vector<Confusion> cells;
  if (!tally.has_confusion()) return cells;
  for (int64_t label = 0; label < tally.classes(); ++label) {
    for (int64_t predicted = 0; predicted < tally.classes(); ++predicted) {
      const int64_t samples = tally.confusion(label, predicted);
      if (label != predicted && samples > 0) cells.push_back({label, predicted, samples});
    }
  }
  std::stable_sort(cells.begin(), cells.end(),
                   [](const Confusion& a, const Confusion& b) { return a.samples > b.samples; });
  cells.resize(std::min(cells.size(), most));
  return cells;
}

}  // namespace bitstill
