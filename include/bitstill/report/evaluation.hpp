// What `bitstill evaluate` measured, as JSON, as text for a terminal and as a page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/metrics/pairs.hpp"
#include "bitstill/metrics/tally.hpp"

namespace bitstill {

struct MeasuredModel {
  std::string file;
  int64_t bytes = 0;  // of the file
  ClassificationTally tally;
};

/// A model on a split, and the reference it was compared with on the same samples.
struct EvaluationFacts {
  std::string data, split;           // "digits", "test"
  std::vector<std::string> classes;  // as many as the tallies have
  MeasuredModel model;
  struct Against {
    MeasuredModel reference;
    PairCounts pairs;
  };
  std::optional<Against> against;
};

/// Accuracies in percent with their 95 % intervals. "confusion" is null above
/// ClassificationTally::kMostMatrixClasses classes.
Json evaluation_json(const EvaluationFacts& facts);

/// The same for a terminal. Of many classes only those with the lowest accuracy, and no matrix.
std::string evaluation_text(const EvaluationFacts& facts);

/// One self-contained HTML page: no scripts, no links, figures as inline SVG, light and dark.
std::string evaluation_page(const EvaluationFacts& facts);

/// Class numbers by ascending accuracy (then by number), those without samples left out.
std::vector<int64_t> least_accurate(const ClassificationTally& tally, std::size_t most);

}  // namespace bitstill
