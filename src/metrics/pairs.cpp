#include "bitstill/metrics/pairs.hpp"

#include <algorithm>
#include <cmath>

namespace bitstill {
namespace {

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

void PairCounts::add(const SampleScore& reference, const SampleScore& model, int64_t label,
                     double kl) {
  const bool first = reference.predicted == label, second = model.predicted == label;
  (first ? (second ? both : only_reference) : (second ? only_model : neither)) += 1;
  same += reference.predicted == model.predicted && model.predicted >= 0 ? 1 : 0;
  ClassificationCounts divergence;  // the same units and bounds as a loss
  divergence.add_loss(kl);
  kl_units += divergence.loss_units;
}

std::array<int64_t*, 6> PairCounts::sums() {
  return {&both, &only_reference, &only_model, &neither, &same, &kl_units};
}

double PairCounts::agreement() const {
  return 100 * share(same, samples());
}

double PairCounts::mean_kl() const {
  return ClassificationCounts{samples(), 0, kl_units}.mean_loss();
}

double PairCounts::difference() const {
  return 100 * share(only_model - only_reference, samples());
}

double mcnemar_p(int64_t only_reference, int64_t only_model) {
  const int64_t pairs = only_reference + only_model, least = std::min(only_reference, only_model);
  const auto n = static_cast<double>(pairs);
  // The largest term is the last one; smaller ones follow from it by P(k-1) = P(k) k / (n-k+1).
  double log_choose = 0;
  for (int64_t k = 1; k <= least; ++k) {
    log_choose += std::log((n - static_cast<double>(k) + 1) / static_cast<double>(k));
  }
  double sum = 0, term = 1;
  for (int64_t k = least; k >= 0 && term > 0; --k) {
    sum += term;
    term *= static_cast<double>(k) / (n - static_cast<double>(k) + 1);
  }
  return std::min(1.0, 2 * sum * std::exp(log_choose - n * std::log(2.0)));
}

std::pair<double, double> difference_interval(const PairCounts& pairs) {
  if (pairs.samples() == 0) return {-100, 100};  // nothing is known
  constexpr double kZ = 1.959963984540054;
  const double n = static_cast<double>(pairs.samples()) + 2;
  const double gained = static_cast<double>(pairs.only_model + 1) / n;
  const double lost = static_cast<double>(pairs.only_reference + 1) / n;
  const double middle = gained - lost;
  const double half = kZ * std::sqrt((gained + lost - middle * middle) / n);
  return {100 * std::max(-1.0, middle - half), 100 * std::min(1.0, middle + half)};
}

std::vector<ClassLoss> classes_that_lost(const ClassificationTally& reference,
                                         const ClassificationTally& model, std::size_t most) {
  std::vector<ClassLoss> classes;
  for (int64_t label = 0; label < model.classes(); ++label) {
    const ClassificationCounts before = reference.of_class(label), after = model.of_class(label);
    if (after.correct < before.correct) {
      classes.push_back({label, after.samples, before.correct, after.correct});
    }
  }
  const auto lost = [](const ClassLoss& c) { return share(c.reference - c.model, c.samples); };
  std::stable_sort(classes.begin(), classes.end(),
                   [&](const ClassLoss& a, const ClassLoss& b) { return lost(a) > lost(b); });
  classes.resize(std::min(classes.size(), most));
  return classes;
}

}  // namespace bitstill
