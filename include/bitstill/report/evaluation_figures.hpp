// The figures of an evaluation's page, each a <figure>.
#pragma once

#include <string>
#include <vector>

#include "bitstill/report/evaluation.hpp"

namespace bitstill {

/// Rows are true classes, columns predictions; a cell is as dark as its share of its row. Empty
/// above kMostDrawnClasses classes, where no cell could be read.
constexpr int64_t kMostDrawnClasses = 48;
std::string confusion_figure(const ClassificationTally& tally,
                             const std::vector<std::string>& classes);

/// Accuracy over confidence by bin, with the diagonal on which both are equal, and how many samples
/// each bin holds.
std::string reliability_figure(const ClassificationTally& tally);

/// Wrong answers of each class in percent, with their 95 % intervals, and the reference's as a dot.
/// Of many classes only the worst.
std::string class_figure(const EvaluationFacts& facts);

}  // namespace bitstill
