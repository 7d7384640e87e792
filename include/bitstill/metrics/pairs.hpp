// Two models on the same samples: how alike they answer, and whether their accuracies differ.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "bitstill/metrics/tally.hpp"

namespace bitstill {

/// Integer sums over samples, exact across ranks. The divergence is kept in units of 2^-24.
struct PairCounts {
  int64_t both = 0, only_reference = 0, only_model = 0, neither = 0;  // which answered right
  int64_t same = 0;                                                   // predicted the same class
  int64_t kl_units = 0;

  /// The two scores of one sample; kl = KL(reference || model), NaN counts as the largest.
  void add(const SampleScore& reference, const SampleScore& model, int64_t label, double kl);
  std::array<int64_t*, 6> sums();  // for adding up over ranks
  int64_t samples() const { return both + only_reference + only_model + neither; }
  double agreement() const;   // percent of samples with the same prediction
  double mean_kl() const;     // nats
  double difference() const;  // the model's accuracy less the reference's, in points
};

/// McNemar's exact test: the two-sided p of a split at least as uneven as this one among the
/// samples that one model alone got right, if either were as likely: min(1, 2 P(X <= least)),
/// X ~ Binomial(only_reference + only_model, 1/2). 1 where there are none.
double mcnemar_p(int64_t only_reference, int64_t only_model);

/// 95 % interval of difference(), in points: Bonett and Price (2012), Wald's interval for paired
/// proportions with one sample added to either kind of discordant pair; never of width 0.
std::pair<double, double> difference_interval(const PairCounts& pairs);

/// Classes in which the model is right less often than the reference, most points first (then by
/// number), at most `most`.
struct ClassLoss {
  int64_t label = 0, samples = 0, reference = 0, model = 0;  // samples; right ones of each
};
std::vector<ClassLoss> classes_that_lost(const ClassificationTally& reference,
                                         const ClassificationTally& model, std::size_t most);

}  // namespace bitstill
