// A study's folder read back: methods x bits over seeds, what differs significantly, and row S3's
// targets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/metrics/bleu.hpp"
#include "bitstill/metrics/intervals.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"

namespace bitstill {

/// One finished run of a study.
struct StudyMember {
  int64_t seed = 0;
  Evaluation test, validation;   // of the file that ships
  Evaluation trained_norm_test;  // where batch norm was re-estimated: without that
  Evaluation teacher_test;       // of whom it learned from
  std::vector<BleuCounts> bleu;  // of the study's sentences, one each; empty: it translated none
  double chrf = kMissing;        // chrF2 over all of them
  double bytes = kMissing;       // of that file
  double under_fp32 = kMissing, under_teacher = kMissing;  // as in Summary
  Run run;                                                 // its whole log but the steps
};

/// A row of the table: an arm at a number of bits, over its seeds.
struct StudyRow {
  std::string arm, title;            // "qd", "QD"
  int64_t order = 0;                 // in tables: of the arm, and of a sweep's point within it
  int64_t bits = 0;                  // 0: full precision
  std::string point;                 // "temperature 2, soft_weight 0.7"; empty: no part of a sweep
  std::vector<StudyMember> members;  // by seed
};

struct Study {
  std::string folder, name;
  double pm_gap = 0;            // points by which QD has to be above PM at 2 bits
  std::vector<StudyRow> rows;   // the grid: by bits (fp32 first), then by order
  std::vector<StudyRow> sweep;  // by arm and bits, then in the order of points
  std::vector<std::string> notes;
};

/// Whether the folder is none of a single run, but holds a run that a study made.
bool is_study(const std::string& folder);
/// Runs that have not ended become a note. Error(data) as read_run, and where there is no run.
Study read_study(const std::string& folder);

using Measure = Evaluation StudyMember::*;

/// Mean over seeds; the interval is Student's over seeds, no further than 0 and 100, or, with one
/// seed, over its images.
Interval accuracy(const StudyRow& row, Measure measure = &StudyMember::test);
/// a - b in points over the seeds that both have, paired; with one such seed over its images, as if
/// they were not the same ones (metrics/intervals.hpp): wider. NaN without any.
Interval difference(const StudyRow& a, const StudyRow& b, Measure measure = &StudyMember::test);
/// Of the students' test accuracy to their teacher's, in the same way.
Interval points_to_teacher(const StudyRow& row);

/// BLEU over all of the study's sentences, and a - b over the seeds that both have: means over
/// seeds, the intervals by the bootstrap over sentences and seeds (metrics/bootstrap.hpp). NaN
/// without translations.
Interval bleu(const StudyRow& row);
Interval bleu_difference(const StudyRow& a, const StudyRow& b);

/// What arms are compared by: BLEU where both have translated, else the test accuracy.
Interval judged_difference(const StudyRow& a, const StudyRow& b);

/// Null when the study has no such row.
const StudyRow* find_row(const Study& study, const std::string& arm, int64_t bits);
/// The better one of QD and DQ at these bits, as arms are compared; null without either.
const StudyRow* better_of_qd_and_dq(const Study& study, int64_t bits);

struct Target {
  std::string name;    // "2 bits: QD above PM"
  std::string figure;  // "+41.3 (35.0 to 47.6) points, wanted: ..."
  bool pass = false;
  bool separation = false;  // of QD from PM: a grid without it fails
};
/// Row S3's targets for which the study has runs.
std::vector<Target> study_targets(const Study& study);

/// Cells of the grid's and of the sweep's table, the first row their names; empty without rows.
std::vector<Cells> grid_cells(const Study& study);
std::vector<Cells> sweep_cells(const Study& study);
/// "best of QD, 2 bits: temperature 4, soft_weight 0.7, 96.4 % on validation", one each.
std::vector<std::string> sweep_winners(const Study& study);
/// What the grid's columns mean.
std::string study_legend(const Study& study);
/// How many of a table's columns are text.
constexpr std::size_t kGridTextColumns = 1, kSweepTextColumns = 2;

/// Everything for a terminal; for a README; as a page, whose links lead from `page_folder` to the
/// runs' folders.
std::string study_text(const Study& study);
std::string study_markdown(const Study& study);
std::string study_page(const Study& study, const std::string& page_folder);

/// A row each for the grid's and the sweep's: for a spreadsheet; with targets and notes, as JSON.
std::string study_csv(const Study& study);
Json study_json(const Study& study);

}  // namespace bitstill
