#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation.hpp"
#include "bitstill/report/evaluation_figures.hpp"
#include "bitstill/report/frame.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

std::string percent(double value) {
  return fixed(value, 2) + " %";
}

std::string interval_text(const std::pair<double, double>& interval, const char* unit) {
  return concat("95 % interval ", fixed(interval.first, 2), " to ", fixed(interval.second, 2),
                unit);
}

std::string name_of(const EvaluationFacts& facts, int64_t label) {
  return facts.classes.at(static_cast<std::size_t>(label));
}

std::string model_tiles(const MeasuredModel& model) {
  const ClassificationTally& tally = model.tally;
  const ClassificationCounts counts = tally.counts();
  const ClassificationCounts in_top{counts.samples, tally.in_top(), 0};
  return concat("<dl class=\"tiles\">",
                tile("Top-1 accuracy", percent(counts.accuracy()),
                     interval_text(wilson_interval(counts.correct, counts.samples), " %")),
                tile(concat("Top-", tally.top(), " accuracy"), percent(in_top.accuracy()),
                     concat(tally.in_top(), " of ", counts.samples, " images")),
                tile("Cross-entropy", fixed(counts.mean_loss(), 4), "nats an image"),
                tile("Calibration error", fixed(tally.calibration_error(), 2) + " points",
                     concat("expected, ", kConfidenceBins, " bins of confidence")),
                tile("File", bytes_text(static_cast<double>(model.bytes)),
                     concat(grouped(static_cast<double>(model.bytes)), " bytes")),
                "</dl>\n");
}

std::string pair_tiles(const EvaluationFacts& facts) {
  const auto& [reference, pairs] = *facts.against;
  const double ratio =
      static_cast<double>(reference.bytes) / static_cast<double>(facts.model.bytes);
  return concat(
      "<dl class=\"tiles\">",
      tile("Difference in accuracy",
           concat(pairs.difference() > 0 ? "+" : "", fixed(pairs.difference(), 2), " points"),
           interval_text(difference_interval(pairs), "")),
      tile("McNemar’s exact test",
           concat("p = ", compact(mcnemar_p(pairs.only_reference, pairs.only_model))),
           concat("right alone: reference ", pairs.only_reference, ", model ", pairs.only_model)),
      tile("Same answer", percent(pairs.agreement()),
           concat("both right ", pairs.both, ", both wrong ", pairs.neither)),
      tile("Mean KL", compact(pairs.mean_kl()) + " nats", "of reference to model"),
      tile("Reference", percent(reference.tally.counts().accuracy()),
           concat(bytes_text(static_cast<double>(reference.bytes)), ", ", fixed(ratio, 1),
                  " times this file")),
      "</dl>\n");
}

std::string against_section(const EvaluationFacts& facts) {
  if (!facts.against) return "";
  const MeasuredModel& reference = facts.against->reference;
  std::vector<Cells> rows = {
      {"Class", "Images", "Right, reference", "Right, model", "Points lost"}};
  for (const ClassLoss& lost : classes_that_lost(reference.tally, facts.model.tally, 10)) {
    const double points =
        100 * static_cast<double>(lost.reference - lost.model) / static_cast<double>(lost.samples);
    rows.push_back({name_of(facts, lost.label), concat(lost.samples), concat(lost.reference),
                    concat(lost.model), fixed(points, 2)});
  }
  std::string html =
      concat("<h2>Against ", escape_html(reference.file), "</h2>", pair_tiles(facts));
  if (rows.size() < 2) return html;
  return concat(html, "<div class=\"card stack\"><strong>Classes that lost most</strong>",
                html_table(rows, 1), "</div>\n");
}

std::string confusions_card(const EvaluationFacts& facts) {
  std::vector<Cells> rows = {{"True class", "Taken for", "Images"}};
  for (const Confusion& cell : largest_confusions(facts.model.tally, 12)) {
    const int64_t of = facts.model.tally.of_class(cell.label).samples;
    rows.push_back({name_of(facts, cell.label), name_of(facts, cell.predicted),
                    concat(cell.samples, " of ", of)});
  }
  if (rows.size() < 2) return "";
  return concat("<div class=\"card\"><strong>Most frequent confusions</strong>",
                html_table(rows, 2), "</div>\n");
}

std::string numbers_section(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  std::vector<Cells> rows = {{"Class", "Images", "Right", "Accuracy", "95 % interval"}};
  for (int64_t c = 0; c < tally.classes(); ++c) {
    const ClassificationCounts counts = tally.of_class(c);
    const auto [low, high] = wilson_interval(counts.correct, counts.samples);
    rows.push_back({name_of(facts, c), concat(counts.samples), concat(counts.correct),
                    counts.samples > 0 ? percent(counts.accuracy()) : "-",
                    concat(fixed(low, 2), " to ", fixed(high, 2))});
  }
  return concat("<details class=\"card\"><summary>Numbers of all classes</summary>",
                html_table(rows, 1), "</details>\n");
}

}  // namespace

std::string evaluation_page(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  const std::string about = concat("on ", facts.data, ", ", facts.split, ": ",
                                   grouped(static_cast<double>(tally.counts().samples)),
                                   " images of ", tally.classes(), " classes");
  return page_frame(
      facts.model.file,
      concat(page_header("evaluate", facts.model.file, about), model_tiles(facts.model),
             against_section(facts), "<h2>Where it errs</h2><div class=\"grid costs\">",
             confusion_figure(tally, facts.classes), class_figure(facts), reliability_figure(tally),
             confusions_card(facts), "</div>\n", numbers_section(facts)));
}

}  // namespace bitstill
