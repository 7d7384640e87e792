// The facts of a run as they stand in the summary, the same in the page and in the terminal.
#pragma once

#include <string>
#include <vector>

#include "bitstill/report/report.hpp"

namespace bitstill {

struct Summary {
  std::string label;  // the folder's name; with its parent's where two runs share it
  std::string command;
  std::string method;   // "joint 2 bits"
  std::string network;  // "convnet 6-12 fc 24"
  double parameters = kMissing, world = kMissing;
  double epochs = kMissing, planned_epochs = kMissing;
  Evaluation test;
  double validation_accuracy = kMissing;
  double bytes = kMissing;  // of the file that ships
  double ratio = kMissing;  // fp32 bytes over it
  double minutes = kMissing;
  bool finished = false;
};

std::vector<Summary> summarize(const std::vector<Run>& runs);

/// A row of text cells under kSummaryColumns; "-" where the log says nothing.
std::vector<std::string> summary_cells(const Summary& summary);
const std::vector<std::string>& summary_columns();

/// Means over a run's steps, by name, in order of first appearance.
NamedNumbers mean_values(const std::vector<StepRecord>& steps, NamedNumbers StepRecord::*values);

}  // namespace bitstill
