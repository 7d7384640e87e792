#include "bitstill/report/summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kLongestLabel = 60;  // characters

std::string method_text(const Run& run) {
  const std::string method = value_named(run.settings, "quant.method"),
                    bits = value_named(run.settings, "quant.bits");
  if (method.empty()) return "-";
  if (method == "none") return "fp32";
  return bits.empty() ? method : concat(method, " ", bits, bits == "1" ? " bit" : " bits");
}

/// "6-12" of a list of numbers; empty for anything else.
std::string joined(const Json& network, const char* name) {
  std::string text;
  const auto list = network.find(name);
  if (list == network.end() || !list->is_array()) return text;
  for (const Json& entry : *list) text += concat(text.empty() ? "" : "-", entry.dump());
  return text;
}

std::string network_text(const Run& run) {
  if (!run.network.is_object()) return "-";
  const auto kind = run.network.find("kind");
  std::string text = kind != run.network.end() && kind->is_string() ? kind->get<std::string>() : "";
  if (text == "convnet") {
    const std::string widths = joined(run.network, "widths"),
                      hidden = joined(run.network, "hidden");
    if (!widths.empty()) text += " " + widths;
    if (!hidden.empty()) text += " fc " + hidden;
  }
  return text.empty() ? "-" : text;
}

/// The compressed student where there is one, else the first file.
double shipped_bytes(const Run& run) {
  for (const auto& [name, bytes] : run.files) {
    if (name == "student.safetensors") return bytes;
  }
  return run.files.empty() ? kMissing : run.files.front().second;
}

/// A resumed run's end may count its last process only; its epochs count all.
double all_seconds(const Run& run) {
  double epochs = 0;
  for (const EpochRecord& record : run.epochs) {
    if (std::isfinite(record.seconds)) epochs += record.seconds;
  }
  if (std::isfinite(run.seconds)) return std::max(run.seconds, epochs);
  return epochs > 0 ? epochs : kMissing;
}

Summary summarize(const Run& run) {
  Summary result;
  result.command = run.command.empty() ? "-" : run.command;
  result.method = method_text(run);
  result.network = network_text(run);
  result.parameters = run.parameters;
  result.world = run.world;
  if (!run.epochs.empty()) result.epochs = run.epochs.back().epoch;
  const std::string planned = value_named(run.settings, "train.epochs");
  if (!planned.empty()) result.planned_epochs = std::strtod(planned.c_str(), nullptr);
  result.test = run.test;
  result.validation_accuracy = run.validation.accuracy;
  result.validation_perplexity = run.validation.perplexity;
  if (std::isnan(result.validation_accuracy) && !run.epochs.empty()) {
    result.validation_accuracy = run.epochs.back().validation.accuracy;
    result.validation_perplexity = run.epochs.back().validation.perplexity;
  }
  result.bytes = shipped_bytes(run);
  if (result.bytes > 0) {
    result.under_fp32 = run.fp32_bytes / result.bytes;
    result.under_teacher = run.teacher.bytes / result.bytes;
  }
  result.to_teacher = difference(run.test, run.teacher.test);
  result.minutes = all_seconds(run) / 60;
  result.finished = run.finished;
  return result;
}

std::string test_text(const Evaluation& test) {
  if (test.samples == 0) return "none";
  if (!std::isfinite(test.accuracy)) return "-";
  std::string text = fixed(test.accuracy, 1) + " %";
  if (std::isfinite(test.low) && std::isfinite(test.high)) {
    text += concat(" (", fixed(test.low, 1), "–", fixed(test.high, 1), ")");
  }
  return text;
}

}  // namespace

Interval difference(const Evaluation& a, const Evaluation& b) {
  const auto known = [](const Evaluation& evaluation) {
    return std::isfinite(evaluation.accuracy) && evaluation.samples >= 1;
  };
  if (!known(a) || !known(b)) {
    return {kMissing, kMissing, kMissing};
  }
  const auto correct = [](const Evaluation& evaluation) {
    return std::llround(evaluation.accuracy * evaluation.samples / 100);
  };
  return proportion_difference(correct(a), std::llround(a.samples), correct(b),
                               std::llround(b.samples));
}

std::vector<Summary> summarize(const std::vector<Run>& runs) {
  std::vector<Summary> result;
  for (const Run& run : runs) {
    const auto same = [&](const Run& other) { return other.name == run.name; };
    result.push_back(summarize(run));
    const bool alone = std::count_if(runs.begin(), runs.end(), same) == 1;
    result.back().label =
        shorten(visible(alone && !run.name.empty() ? run.name : run.folder), kLongestLabel);
  }
  return result;
}

std::string epochs_text(const Summary& summary) {
  const std::string done = std::isfinite(summary.epochs) ? compact(summary.epochs) : "-";
  if (!(summary.planned_epochs > 0) || summary.planned_epochs == summary.epochs) return done;
  if (summary.finished && done == "-") return done;  // nothing was to be trained
  return concat(done == "-" ? "0" : done, " of ", compact(summary.planned_epochs));
}

std::string minutes_text(const Summary& summary) {
  return fixed(summary.minutes, summary.minutes < 10 ? 2 : 1);
}

std::string times_text(double times) {
  return with_unit(times < 100 ? fixed(times, 1) : grouped(times), "x");
}

std::vector<Cells> summary_rows(const std::vector<Summary>& summaries) {
  std::vector<Cells> rows = {{"Run", "Command", "Method", "Network", "Parameters", "World",
                              "Epochs", "Test", "Points to teacher", "Validation", "Perplexity",
                              "Validation perplexity", "File", "Smaller than fp32",
                              "Smaller than teacher", "Minutes"}};
  for (const Summary& summary : summaries) {
    rows.push_back({summary.label, summary.command, summary.method, summary.network,
                    grouped(summary.parameters), fixed(summary.world, 0), epochs_text(summary),
                    test_text(summary.test), signed_points(summary.to_teacher),
                    with_unit(fixed(summary.validation_accuracy, 1), " %"),
                    fixed(summary.test.perplexity, 2), fixed(summary.validation_perplexity, 2),
                    with_unit(grouped(summary.bytes), " B"), times_text(summary.under_fp32),
                    times_text(summary.under_teacher), minutes_text(summary)});
  }
  drop_empty_columns(rows, kSummaryTextColumns);
  return rows;
}

NamedNumbers mean_values(const std::vector<StepRecord>& steps, NamedNumbers StepRecord::*values) {
  struct Sum {
    std::string name;
    double sum, steps;
  };
  std::vector<Sum> sums;
  for (const StepRecord& step : steps) {
    for (const auto& [name, value] : step.*values) {
      if (!std::isfinite(value)) continue;
      const auto same = [&name = name](const Sum& sum) { return sum.name == name; };
      auto entry = std::find_if(sums.begin(), sums.end(), same);
      if (entry == sums.end()) entry = sums.insert(sums.end(), {name, 0, 0});
      entry->sum += step.steps * value;
      entry->steps += step.steps;
    }
  }
  NamedNumbers means;
  for (const Sum& sum : sums) means.emplace_back(sum.name, sum.sum / sum.steps);
  return means;
}

}  // namespace bitstill
