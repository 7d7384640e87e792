#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/metrics/chrf.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/study.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

using Cells = std::vector<std::string>;

/// Mean of a number over a row's members.
double mean_of(const StudyRow& row, double StudyMember::*number) {
  std::vector<double> values;
  for (const StudyMember& member : row.members) values.push_back(member.*number);
  return mean_interval(values).mean;
}

std::string percent_text(const Interval& interval) {
  if (!std::isfinite(interval.mean)) return "-";
  std::string text = fixed(interval.mean, 1) + " %";
  if (std::isfinite(interval.low)) {
    text += concat(" (", fixed(interval.low, 1), "–", fixed(interval.high, 1), ")");
  }
  return text;
}

std::string bits_text(const StudyRow& row) {
  return row.bits == 0 ? "fp32" : concat(row.bits);
}

std::string seeds_text(const StudyRow& row) {
  return concat(row.members.size());
}

/// What joint and LSQ are measured by.
std::string difference_to_best(const Study& study, const StudyRow& row) {
  const StudyRow* best = better_of_qd_and_dq(study, row.bits);
  if ((row.arm != "joint" && row.arm != "lsq") || best == nullptr) return "-";
  return concat(signed_points(judged_difference(row, *best)), " to ", best->title);
}

std::string difference_to_qd(const Study& study, const StudyRow& row) {
  const StudyRow* qd = find_row(study, "qd", row.bits);
  return qd == nullptr || qd == &row ? "-" : signed_points(judged_difference(row, *qd));
}

std::string trained_norm_difference_to_qd(const Study& study, const StudyRow& row) {
  const StudyRow* qd = find_row(study, "qd", row.bits);
  if (qd == nullptr || qd == &row) return "-";
  return signed_points(difference(row, *qd, &StudyMember::trained_norm_test));
}

std::string difference_to_fp32(const Study& study, const StudyRow& row) {
  const StudyRow* fp32 = find_row(study, "fp32_longer", 0);
  return fp32 == nullptr || fp32 == &row ? "-" : signed_points(judged_difference(row, *fp32));
}

std::string bleu_text(const StudyRow& row) {
  const Interval score = bleu(row);
  if (std::isnan(score.mean)) return "-";
  return concat(fixed(score.mean, 2), " (", fixed(score.low, 1), "–", fixed(score.high, 1), ")");
}

double mean_perplexity(const StudyRow& row) {
  std::vector<double> values;
  for (const StudyMember& member : row.members) values.push_back(member.test.perplexity);
  return mean_interval(values).mean;
}

bool translates(const Study& study) {
  return std::any_of(study.rows.begin(), study.rows.end(), [](const StudyRow& row) {
    return std::isfinite(mean_of(row, &StudyMember::chrf));
  });
}

bool reestimated(const Study& study) {
  return std::any_of(study.rows.begin(), study.rows.end(), [](const StudyRow& row) {
    return std::isfinite(accuracy(row, &StudyMember::trained_norm_test).mean);
  });
}

constexpr const char* kLegend =
    "Test accuracy is that of the file that ships: mean over seeds with the 95 % interval of the "
    "mean by Student's t (one seed: over its images). Differences are in points, paired by seed "
    "(one seed: as if over different images, so too wide). Smaller than fp32: the file of the same "
    "network in fp32 over this one; than teacher: the teacher's file over it.";
constexpr const char* kNormLegend =
    " Batch norm was re-estimated with the final weights before shipping; the columns \"training's "
    "norm\" are the same trainings without that.";

constexpr const char* kBleuLegend =
    " Samples are target tokens here. BLEU and chrF2 are of the study's sentences, all together; "
    "differences are in BLEU, and intervals by 1,000 draws of sentences and seeds. ";

std::string verdict(const Target& target) {
  return target.pass ? "PASS" : "FAIL";
}

}  // namespace

std::string study_legend(const Study& study) {
  std::string legend = kLegend;
  if (reestimated(study)) legend += kNormLegend;
  if (translates(study)) {
    legend += concat(kBleuLegend, "BLEU: ", bleu_signature(), "; chrF2: ", chrf_signature(), ".");
  }
  return legend;
}

std::vector<Cells> grid_cells(const Study& study) {
  if (study.rows.empty()) return {};
  constexpr Measure kTrainedNorm = &StudyMember::trained_norm_test;
  std::vector<Cells> table = {{"Arm", "Bits", "Seeds", "Test", "Test, training's norm",
                               "Perplexity", "BLEU", "chrF2", "Points to teacher", "File",
                               "Smaller than fp32", "Smaller than teacher", "To fp32, longer",
                               "To QD", "To max(QD, DQ)", "To QD, training's norm"}};
  for (const StudyRow& row : study.rows) {
    table.push_back({row.title, bits_text(row), seeds_text(row), percent_text(accuracy(row)),
                     percent_text(accuracy(row, kTrainedNorm)), fixed(mean_perplexity(row), 2),
                     bleu_text(row), fixed(mean_of(row, &StudyMember::chrf), 2),
                     signed_points(points_to_teacher(row)),
                     with_unit(grouped(mean_of(row, &StudyMember::bytes)), " B"),
                     times_text(mean_of(row, &StudyMember::under_fp32)),
                     times_text(mean_of(row, &StudyMember::under_teacher)),
                     difference_to_fp32(study, row), difference_to_qd(study, row),
                     difference_to_best(study, row), trained_norm_difference_to_qd(study, row)});
  }
  drop_empty_columns(table, kGridTextColumns);
  return table;
}

namespace {

/// Of the same arm and bits: those a sweep compares.
bool rivals(const StudyRow& a, const StudyRow& b) {
  return a.arm == b.arm && a.bits == b.bits;
}

bool wins(const Study& study, const StudyRow& row) {
  const double mine = accuracy(row, &StudyMember::validation).mean;
  for (const StudyRow& other : study.sweep) {
    if (!rivals(row, other) || &other == &row) continue;
    const double theirs = accuracy(other, &StudyMember::validation).mean;
    if (theirs > mine || (theirs == mine && &other < &row)) return false;  // a tie: the first
  }
  return std::isfinite(mine);
}

std::string arm_text(const StudyRow& row) {
  return row.bits == 0 ? row.title
                       : concat(row.title, ", ", row.bits, row.bits == 1 ? " bit" : " bits");
}

}  // namespace

std::vector<Cells> sweep_cells(const Study& study) {
  if (study.sweep.empty()) return {};
  std::vector<Cells> table = {{"Arm", "Point", "Seeds", "Validation", "Best"}};
  for (const StudyRow& row : study.sweep) {
    table.push_back({arm_text(row), row.point, seeds_text(row),
                     percent_text(accuracy(row, &StudyMember::validation)),
                     wins(study, row) ? "best" : ""});
  }
  return table;
}

std::vector<std::string> sweep_winners(const Study& study) {
  std::vector<std::string> lines;
  for (const StudyRow& row : study.sweep) {
    if (!wins(study, row)) continue;
    lines.push_back(concat("best of ", arm_text(row), ": ", row.point, ", ",
                           percent_text(accuracy(row, &StudyMember::validation)),
                           " on validation"));
  }
  return lines;
}

std::string study_text(const Study& study) {
  std::string text = text_table(grid_cells(study), kGridTextColumns);
  for (const Target& target : study_targets(study)) {
    text += concat(verdict(target), "  ", visible(target.name), ": ", target.figure, "\n");
  }
  text += text_table(sweep_cells(study), kSweepTextColumns);
  for (const std::string& line : sweep_winners(study)) text += visible(line) + "\n";
  for (const std::string& note : study.notes) text += visible("note: " + note) + "\n";
  return text;
}

std::string study_markdown(const Study& study) {
  std::string text;
  if (!study.rows.empty()) {
    text += concat(markdown_table(grid_cells(study), kGridTextColumns), "\n", study_legend(study),
                   "\n\n");
  }
  const std::vector<Target> targets = study_targets(study);
  std::vector<Cells> table = {{"Target", "Figure", ""}};
  for (const Target& target : targets) {
    table.push_back({target.name, target.figure, verdict(target)});
  }
  if (!targets.empty()) text += markdown_table(table, 3) + "\n";
  if (!study.sweep.empty()) text += markdown_table(sweep_cells(study), kSweepTextColumns) + "\n";
  for (const std::string& line : sweep_winners(study)) text += visible("- " + line) + "\n";
  for (const std::string& note : study.notes) text += visible("- note: " + note) + "\n";
  return text;
}

}  // namespace bitstill
