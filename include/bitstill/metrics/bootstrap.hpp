// Whether two models differ in a score of the whole test set, by drawing the set anew.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bitstill/base/random.hpp"

namespace bitstill {

struct BootstrapOptions {
  int64_t draws = 1000;
  uint64_t seed = 1;
};

struct BootstrapDifference {
  double difference = 0;     // of the scores themselves, the mean over runs
  double low = 0, high = 0;  // 95 % of the draws' differences lie between
  double p = 1;              // how often chance alone gives a difference as large, either way
};

/// Sums up what the draws found; the draws are sorted. draws: at least one.
BootstrapDifference bootstrap_difference(double difference, std::vector<double> draws);

/// The paired bootstrap over sentences (Koehn 2004), and over runs (seeds) where there are several:
/// a draw takes as many sentences as there are, with replacement, the same ones of all models, and
/// as many runs, in pairs. Counts are added by += and scored by score(counts) once a draw.
/// model[run][sentence], and reference likewise; as many of both, at least one. A function of the
/// counts and options alone.
template <class Counts, class Score>
BootstrapDifference paired_bootstrap(const std::vector<std::vector<Counts>>& model,
                                     const std::vector<std::vector<Counts>>& reference,
                                     const Score& score, const BootstrapOptions& options = {}) {
  const std::size_t runs = model.size(), sentences = model.front().size();
  std::vector<std::size_t> run_of(runs), sentence_of(sentences);
  const auto difference = [&] {
    double sum = 0;
    for (const std::size_t run : run_of) {
      Counts ours{}, theirs{};
      for (const std::size_t sentence : sentence_of) {
        ours += model[run][sentence];
        theirs += reference[run][sentence];
      }
      sum += score(ours) - score(theirs);
    }
    return sum / static_cast<double>(runs);
  };
  for (std::size_t run = 0; run < runs; ++run) run_of[run] = run;
  for (std::size_t i = 0; i < sentences; ++i) sentence_of[i] = i;
  const double whole = difference();
  std::vector<double> draws;
  for (int64_t draw = 0; draw < options.draws; ++draw) {
    RandomStream stream(options.seed, StreamPurpose::resampling, static_cast<uint64_t>(draw));
    for (std::size_t& sentence : sentence_of) sentence = stream.below(sentences);
    for (std::size_t& run : run_of) run = stream.below(runs);
    draws.push_back(difference());
  }
  return bootstrap_difference(whole, std::move(draws));
}

}  // namespace bitstill
