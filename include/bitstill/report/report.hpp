// Run folders read back: what the logs of one or several runs say, as a page and as a table.
#pragma once

#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

/// A number that the log does not hold (yet) is NaN.
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// (name, value) in the log's order, for example the milliseconds of each phase.
using NamedNumbers = std::vector<std::pair<std::string, double>>;

/// The value of a name in such a list; without it 0, no text, or `otherwise`.
template <class Value>
Value value_named(const std::vector<std::pair<std::string, Value>>& list, const std::string& name,
                  const std::type_identity_t<Value>& otherwise = {}) {
  for (const auto& [key, value] : list) {
    if (key == name) return value;
  }
  return otherwise;
}

/// Means over `steps` steps, of which the last is number `step`.
struct StepRecord {
  double step = kMissing, epoch = kMissing;  // epoch counts fractions: 0.35
  double steps = 1, seconds = kMissing;      // of all of them, with what lies between
  double loss = kMissing, soft_loss = kMissing, hard_loss = kMissing;
  double accuracy = kMissing;  // percent
  double rate = kMissing, images_per_s = kMissing, tokens_per_s = kMissing, memory_mb = kMissing;
  NamedNumbers ms;     // a step, by phase; "exchange_busy" runs beside them
  NamedNumbers bytes;  // a step, by kind of traffic
};

/// One pass over a set of samples.
struct Evaluation {
  double loss = kMissing, soft_loss = kMissing, hard_loss = kMissing;
  double accuracy = kMissing, low = kMissing, high = kMissing;  // percent; 95 % interval
  double samples = kMissing;
  double perplexity = kMissing;  // of sentences, whose samples are target tokens
};

struct EpochRecord {
  double epoch = kMissing, seconds = kMissing, rate = kMissing;
  Evaluation train, validation;
};

/// Whom a student learned from.
struct TeacherFacts {
  std::string file;
  double bytes = kMissing;
  Evaluation test;  // on the student's test images; find_teachers
};

struct Run {
  std::string folder;
  std::string name;                     // the folder's own name
  std::string command, started, ended;  // in UTC, ISO 8601: they compare as texts
  bool finished = false;                // the log's last word is its end
  std::vector<std::pair<std::string, std::string>> settings, versions;
  std::string host, cpu_model;  // of rank 0
  std::string data;             // fingerprint of the shards
  Json network;                 // null when missing
  Json study;                   // which run of a study this is (report/study.hpp); null: of none
  double world = kMissing, hosts = kMissing, threads = kMissing, parameters = kMissing;
  double fp32_bytes = kMissing;  // of the file that holds the same network in fp32
  double formula_bits = kMissing;
  TeacherFacts teacher;
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  double seconds = kMissing, best_epoch = kMissing;
  Evaluation validation, test;     // of the file that ships, at the end
  Evaluation trained_norm_test;    // with the batch norm of training, where it was re-estimated
  NamedNumbers files;              // bytes
  std::vector<std::string> notes;  // what a reader of the figures should know
};

/// The folder's own name, also of "runs/a/" and ".".
std::string own_name(const std::string& folder);

/// Reads FOLDER/run.jsonl. Of steps and epochs that were done again only the last time is kept; a
/// torn last line is ignored with a note. Error(data) names file and line of any other malformed
/// line.
Run read_run(const std::string& folder);

/// Fills in what the teachers' own runs say of them: those that lie beside the teachers' files, or
/// are among `runs`. A run that was made again since, or on other data, is not taken.
void find_teachers(std::vector<Run>& runs);

/// One self-contained HTML page: no scripts, no links, figures as inline SVG, light and dark.
std::string report_page(const std::vector<Run>& runs);

/// The page's summary as plain text for a terminal.
std::string report_table(const std::vector<Run>& runs);

/// The same facts, all digits and whole names: a line each for a spreadsheet; with settings, curves
/// and notes, as JSON. What the log does not say is empty, or null.
std::string report_csv(const std::vector<Run>& runs);
Json report_json(const std::vector<Run>& runs);

}  // namespace bitstill
