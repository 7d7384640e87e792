// Everything that `bitstill evaluate` says of one model: integer sums, exact across ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/metrics/scores.hpp"

namespace bitstill {

/// Samples whose confidence lies in (b / kConfidenceBins, (b + 1) / kConfidenceBins].
struct ConfidenceBin {
  int64_t samples = 0, correct = 0;
  double confidence = 0;  // their mean; 0 without samples
};
constexpr int64_t kConfidenceBins = 15;

/// One flat list of integers, so tallies add by adding the lists. Confidences are kept in units of
/// 2^-24.
class ClassificationTally {
 public:
  explicit ClassificationTally(int64_t classes);
  /// One sample of class `label`. A score that is not finite counts as wrong, of the largest loss
  /// and without confidence, and stands in no column of the confusion matrix.
  void add(const SampleScore& score, int64_t label);
  /// For adding up over ranks: comm.all_reduce(sums().data(), sums().size(), i64).
  std::vector<int64_t>& sums() { return sums_; }

  int64_t classes() const { return classes_; }
  /// 5, or with fewer classes their number.
  int64_t top() const { return classes_ < 5 ? classes_ : 5; }
  ClassificationCounts counts() const;
  int64_t in_top() const { return sums_[kInTop]; }  // samples whose label is among the first top()
  int64_t not_finite() const { return sums_[kNotFinite]; }
  /// Samples and correct ones of a class; its loss is not kept apart and 0.
  ClassificationCounts of_class(int64_t label) const;
  /// Above kMostMatrixClasses classes the matrix is not kept.
  bool has_confusion() const { return classes_ <= kMostMatrixClasses; }
  /// Samples of class `label` taken for `predicted`.
  int64_t confusion(int64_t label, int64_t predicted) const;
  ConfidenceBin bin(int64_t b) const;
  /// Expected calibration error in percent (Guo et al. 2017): the mean over samples of
  /// |accuracy - confidence| of their bin.
  double calibration_error() const;

  static constexpr int64_t kMostMatrixClasses = 2048;  // 32 MB

 private:
  static constexpr std::size_t kSamples = 0, kCorrect = 1, kLoss = 2, kInTop = 3, kNotFinite = 4;
  static constexpr std::size_t kBins = 5;
  static constexpr std::size_t kClasses = kBins + 3 * kConfidenceBins;
  int64_t classes_;
  std::vector<int64_t> sums_;  // heads, bins [15, 3], classes [classes, 2], matrix [classes^2]
};

/// Off-diagonal cells of the matrix, the largest first (then by label and prediction), at most
/// `most`, none that is 0.
struct Confusion {
  int64_t label = 0, predicted = 0, samples = 0;
};
std::vector<Confusion> largest_confusions(const ClassificationTally& tally, std::size_t most);

}  // namespace bitstill
