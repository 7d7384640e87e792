#include <algorithm>
#include <numeric>

#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostRows = 20;  // of classes
constexpr int64_t kMostMatrixColumns = 20;
constexpr std::size_t kLongestName = 24;

std::string interval_text(const std::pair<double, double>& interval) {
  return concat(fixed(interval.first, 2), " to ", fixed(interval.second, 2));
}

std::string name_of(const EvaluationFacts& facts, int64_t label) {
  return shorten(facts.classes.at(static_cast<std::size_t>(label)), kLongestName);
}

std::string head(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  const ClassificationCounts counts = tally.counts();
  const ClassificationCounts in_top{counts.samples, tally.in_top(), 0};
  return concat(
      visible(facts.model.file), " on ", visible(facts.data), "/", facts.split, " (",
      counts.samples, " images): top-1 ", fixed(counts.accuracy(), 2), " % (95 % interval ",
      interval_text(wilson_interval(counts.correct, counts.samples)), "), top-", tally.top(), " ",
      fixed(in_top.accuracy(), 2), " %, cross-entropy ", fixed(counts.mean_loss(), 4),
      ", calibration error ", fixed(tally.calibration_error(), 2), " points, ",
      grouped(static_cast<double>(facts.model.bytes)), " B\n");
}

std::string against_text(const EvaluationFacts& facts) {
  const auto& [reference, pairs] = *facts.against;
  std::string text = concat(
      "against ", visible(reference.file), " (top-1 ",
      fixed(reference.tally.counts().accuracy(), 2), " %, ",
      grouped(static_cast<double>(reference.bytes)), " B): ", pairs.difference() < 0 ? "" : "+",
      fixed(pairs.difference(), 2), " points (95 % interval ",
      interval_text(difference_interval(pairs)), "; McNemar's exact p ",
      compact(mcnemar_p(pairs.only_reference, pairs.only_model)), ")\n", "same answer for ",
      fixed(pairs.agreement(), 2), " %, mean KL(reference || model) ", compact(pairs.mean_kl()),
      " nats; right alone: reference ", pairs.only_reference, ", model ", pairs.only_model, "\n");
  const auto lost = classes_that_lost(reference.tally, facts.model.tally, 5);
  std::vector<std::string> names;
  for (const ClassLoss& loss : lost) {
    names.push_back(concat(visible(name_of(facts, loss.label)), " (", loss.reference, " to ",
                           loss.model, " of ", loss.samples, ")"));
  }
  return names.empty() ? text : concat(text, "classes that lost most: ", list_names(names), "\n");
}

/// What the class is mostly taken for when it is not recognized.
std::string taken_for(const EvaluationFacts& facts, int64_t label) {
  const ClassificationTally& tally = facts.model.tally;
  int64_t most = 0, other = -1;
  for (int64_t c = 0; tally.has_confusion() && c < tally.classes(); ++c) {
    if (c == label || tally.confusion(label, c) <= most) continue;
    most = tally.confusion(label, c);
    other = c;
  }
  return other < 0 ? "" : concat(name_of(facts, other), " (", most, ")");
}

std::string class_table(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  std::vector<int64_t> shown(static_cast<std::size_t>(tally.classes()));
  std::iota(shown.begin(), shown.end(), int64_t{0});
  std::string note;
  if (shown.size() > kMostRows) {
    shown = least_accurate(tally, kMostRows);
    note = concat("the ", shown.size(), " least accurate of ", tally.classes(),
                  " classes; --json and --html have all\n");
  }
  std::vector<Cells> rows = {
      {"class", "mostly taken for", "images", "right", "accuracy %", "95 % interval"}};
  for (const int64_t label : shown) {
    const ClassificationCounts counts = tally.of_class(label);
    rows.push_back({name_of(facts, label), taken_for(facts, label), concat(counts.samples),
                    concat(counts.correct), counts.samples > 0 ? fixed(counts.accuracy(), 2) : "-",
                    interval_text(wilson_interval(counts.correct, counts.samples))});
  }
  return "\n" + note + text_table(std::move(rows), 2);
}

std::string matrix(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  if (tally.classes() > kMostMatrixColumns) return "";
  std::vector<Cells> rows = {{"true \\ predicted"}};
  for (int64_t c = 0; c < tally.classes(); ++c) rows[0].push_back(shorten(name_of(facts, c), 6));
  for (int64_t label = 0; label < tally.classes(); ++label) {
    rows.push_back({name_of(facts, label)});
    for (int64_t c = 0; c < tally.classes(); ++c) {
      const int64_t samples = tally.confusion(label, c);
      rows.back().push_back(samples > 0 ? concat(samples) : ".");
    }
  }
  return "\n" + text_table(std::move(rows), 1);
}

}  // namespace

std::vector<int64_t> least_accurate(const ClassificationTally& tally, std::size_t most) {
  std::vector<int64_t> labels;
  for (int64_t label = 0; label < tally.classes(); ++label) {
    if (tally.of_class(label).samples > 0) labels.push_back(label);
  }
  std::stable_sort(labels.begin(), labels.end(), [&](int64_t a, int64_t b) {
    return tally.of_class(a).accuracy() < tally.of_class(b).accuracy();
  });
  labels.resize(std::min(labels.size(), most));
  return labels;
}

std::string evaluation_text(const EvaluationFacts& facts) {
  return concat(head(facts), facts.against ? against_text(facts) : "", class_table(facts),
                matrix(facts));
}

}  // namespace bitstill
