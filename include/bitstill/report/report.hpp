// Run folders read back: what the logs of one or several runs say, as a page and as a table.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

/// A number that the log does not hold (yet) is NaN.
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// (name, value) in the log's order, for example the milliseconds of each phase.
using NamedNumbers = std::vector<std::pair<std::string, double>>;

/// Means over the steps since the record before.
struct StepRecord {
  double step = kMissing, epoch = kMissing;  // epoch counts fractions: 0.35
  double loss = kMissing, soft_loss = kMissing, hard_loss = kMissing;
  double accuracy = kMissing;  // percent
  double rate = kMissing, images_per_s = kMissing, memory_mb = kMissing;
  NamedNumbers ms;     // a step, by phase
  NamedNumbers bytes;  // a step, by kind of traffic
};

/// One pass over a set of samples.
struct Evaluation {
  double loss = kMissing, soft_loss = kMissing, hard_loss = kMissing;
  double accuracy = kMissing, low = kMissing, high = kMissing;  // percent; 95 % interval
  double samples = kMissing;
};

struct EpochRecord {
  double epoch = kMissing, seconds = kMissing, rate = kMissing;
  Evaluation train, validation;
};

struct Run {
  std::string folder;
  std::string name;  // the folder's own name
  std::string command, started;
  bool finished = false;  // the log's last word is its end
  std::vector<std::pair<std::string, std::string>> settings, versions;
  std::vector<std::string> hosts;
  Json network;  // null when missing
  Json study;    // which run of a study this is (report/study.hpp); null: of none
  double world = kMissing, threads = kMissing, parameters = kMissing;
  double fp32_bytes = kMissing, formula_bits = kMissing;
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  double seconds = kMissing, best_epoch = kMissing;
  Evaluation validation, test;     // of the file that ships, at the end
  Evaluation trained_norm_test;    // with the batch norm of training, where it was re-estimated
  NamedNumbers files;              // bytes
  std::vector<std::string> notes;  // what a reader of the figures should know
};

/// Reads FOLDER/run.jsonl. Records that a resumed run has done again are dropped; a torn last line
/// is ignored with a note. Error(data) names file and line of any other malformed line.
Run read_run(const std::string& folder);

/// One self-contained HTML page: no scripts, no links, figures as inline SVG, light and dark.
std::string report_page(const std::vector<Run>& runs);

/// The page's summary as plain text for a terminal.
std::string report_table(const std::vector<Run>& runs);

}  // namespace bitstill
