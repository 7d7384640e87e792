// The facts of a run as they stand in the summary, the same in the page and in the terminal.
#pragma once

#include <string>
#include <vector>

#include "bitstill/metrics/intervals.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"

namespace bitstill {

struct Summary {
  std::string label;  // the folder's name, with its path where two runs share it; short, visible
  std::string command;
  std::string method;   // "joint 2 bits"
  std::string network;  // "convnet 6-12 fc 24"
  double parameters = kMissing, world = kMissing;
  double epochs = kMissing, planned_epochs = kMissing;
  Evaluation test;
  Interval to_teacher{kMissing, kMissing, kMissing};  // points, as if over different images
  double validation_accuracy = kMissing, validation_perplexity = kMissing;
  double bytes = kMissing;          // of the file that ships
  double under_fp32 = kMissing;     // how many times smaller it is than the same network's in fp32
  double under_teacher = kMissing;  // ... than the teacher's file
  double minutes = kMissing;
  bool finished = false;
};

/// a - b in points, as if over different images (metrics/intervals.hpp): wider. NaN without either.
Interval difference(const Evaluation& a, const Evaluation& b);

std::vector<Summary> summarize(const std::vector<Run>& runs);

/// A row for each run below the columns' names; columns in which no run has a value are left out.
/// The first kSummaryTextColumns are text.
std::vector<Cells> summary_rows(const std::vector<Summary>& summaries);
constexpr std::size_t kSummaryTextColumns = 4;

/// "8", or "3 of 8" of a run that has not trained all.
std::string epochs_text(const Summary& summary);
std::string minutes_text(const Summary& summary);
/// "6.3x"; "-" for NaN.
std::string times_text(double times);

/// Means over a run's steps, by name, in order of first appearance.
NamedNumbers mean_values(const std::vector<StepRecord>& steps, NamedNumbers StepRecord::*values);

}  // namespace bitstill
