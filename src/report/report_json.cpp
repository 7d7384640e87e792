// Runs and studies as plain facts, for other programs: each flat object a line of the CSV.
#include <algorithm>
#include <cmath>

#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/scaling.hpp"
#include "bitstill/report/study.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

/// Counts without a fraction; null for NaN.
Json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<int64_t>(value);
  return value;
}

void add_interval(Json& object, const std::string& name, const Interval& interval) {
  object[name] = number(interval.mean);
  object[name + "_low"] = number(interval.low);
  object[name + "_high"] = number(interval.high);
}

Json run_facts(const Run& run, const Summary& summary) {
  Json facts = {{"name", run.name},
                {"folder", run.folder},
                {"command", run.command},
                {"method", summary.method},
                {"network", summary.network},
                {"parameters", number(run.parameters)},
                {"world", number(run.world)},
                {"epochs", number(summary.epochs)},
                {"planned_epochs", number(summary.planned_epochs)},
                {"finished", run.finished}};
  add_interval(facts, "test_accuracy", {run.test.accuracy, run.test.low, run.test.high});
  facts["test_samples"] = number(run.test.samples);
  add_interval(facts, "points_to_teacher", summary.to_teacher);
  facts["validation_accuracy"] = number(summary.validation_accuracy);
  facts["file_bytes"] = number(summary.bytes);
  facts["fp32_file_bytes"] = number(run.fp32_bytes);
  facts["smaller_than_fp32"] = number(summary.under_fp32);
  facts["teacher_file_bytes"] = number(run.teacher.bytes);
  facts["smaller_than_teacher"] = number(summary.under_teacher);
  facts["seconds"] = number(60 * summary.minutes);
  facts["started"] = run.started;
  return facts;
}

Json all_run_facts(const std::vector<Run>& runs) {
  const std::vector<Summary> summaries = summarize(runs);
  Json all = Json::array();
  for (std::size_t i = 0; i < runs.size(); ++i) all.push_back(run_facts(runs[i], summaries[i]));
  return all;
}

Json epochs_of(const Run& run) {
  Json epochs = Json::array();
  for (const EpochRecord& record : run.epochs) {
    epochs.push_back({{"epoch", number(record.epoch)},
                      {"seconds", number(record.seconds)},
                      {"rate", number(record.rate)},
                      {"train_loss", number(record.train.loss)},
                      {"train_accuracy", number(record.train.accuracy)},
                      {"validation_loss", number(record.validation.loss)},
                      {"validation_accuracy", number(record.validation.accuracy)}});
  }
  return epochs;
}

Json row_facts(const Study& study, const StudyRow& row) {
  const auto mean = [&](double StudyMember::*value) {
    std::vector<double> values;
    for (const StudyMember& member : row.members) values.push_back(member.*value);
    return number(mean_interval(values).mean);
  };
  Json facts = {{"arm", row.arm},
                {"title", row.title},
                {"bits", row.bits},
                {"point", row.point},
                {"seeds", row.members.size()}};
  StudyRow judged = row;
  if (!row.point.empty()) {  // a sweep is judged on validation alone: no test figure leaves it
    for (StudyMember& member : judged.members) {
      member.test = member.trained_norm_test = {};
      member.bleu.clear();
    }
  }
  add_interval(facts, "test_accuracy", accuracy(judged));
  add_interval(facts, "test_accuracy_trained_norm",
               accuracy(judged, &StudyMember::trained_norm_test));
  add_interval(facts, "validation_accuracy", accuracy(row, &StudyMember::validation));
  add_interval(facts, "points_to_teacher", points_to_teacher(judged));
  add_interval(facts, "bleu", bleu(judged));
  facts["chrf2"] = row.point.empty() ? mean(&StudyMember::chrf) : Json();
  const StudyRow* qd = row.point.empty() ? find_row(study, "qd", row.bits) : nullptr;
  add_interval(
      facts, "points_to_qd",
      qd != nullptr ? judged_difference(row, *qd) : Interval{kMissing, kMissing, kMissing});
  facts["file_bytes"] = mean(&StudyMember::bytes);
  facts["smaller_than_fp32"] = mean(&StudyMember::under_fp32);
  facts["smaller_than_teacher"] = mean(&StudyMember::under_teacher);
  return facts;
}

Json row_facts(const ScalingRow& row) {
  Json facts = {{"mode", row.mode},
                {"nodes", row.nodes},
                {"ranks", row.ranks},
                {"batch", row.batch},
                {"repeats", row.repeats}};
  const auto add = [&](const char* name, const Spread& spread) {
    add_interval(facts, name, {spread.median, spread.low, spread.high});
  };
  add("images_per_s", row.images_per_s);
  add("efficiency", row.efficiency);
  add("step_ms", row.step_ms);
  add("exchange_ms", row.exchange_ms);
  add("gather_ms", row.gather_ms);
  add("megabytes", row.megabytes);
  add("memory_mb", row.memory_mb);
  return facts;
}

Json row_facts(const SimulatedRow& row) {
  return {{"nodes", row.nodes},
          {"ranks", row.ranks},
          {"step_ms", number(row.step_ms)},
          {"efficiency", number(row.efficiency)},
          {"formula_ms", number(row.formula_ms)},
          {"formula_efficiency", number(row.formula_efficiency)}};
}

Json rows_facts(const Study& study, const std::vector<StudyRow>& rows) {
  Json all = Json::array();
  for (const StudyRow& row : rows) all.push_back(row_facts(study, row));
  return all;
}

}  // namespace

Json report_json(const std::vector<Run>& runs) {
  Json all = all_run_facts(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Json settings = Json::object();
    for (const auto& [name, value] : runs[i].settings) settings[name] = value;
    all[i]["settings"] = settings;
    all[i]["curves"] = epochs_of(runs[i]);
    all[i]["notes"] = runs[i].notes;
  }
  return {{"runs", all}};
}

std::string report_csv(const std::vector<Run>& runs) {
  return csv_table(all_run_facts(runs));
}

Json study_json(const Study& study) {
  Json targets = Json::array();
  for (const Target& target : study_targets(study)) {
    targets.push_back({{"name", target.name}, {"figure", target.figure}, {"pass", target.pass}});
  }
  return {{"study", study.name},
          {"rows", rows_facts(study, study.rows)},
          {"sweep", rows_facts(study, study.sweep)},
          {"targets", targets},
          {"notes", study.notes}};
}

Json scaling_json(const ScalingStudy& study) {
  Json rows = Json::array(), simulated = Json::array();
  for (const ScalingRow& row : study.rows) rows.push_back(row_facts(row));
  for (const SimulatedRow& row : study.simulated) simulated.push_back(row_facts(row));
  return {{"study", study.name},
          {"unit", study.unit},
          {"rows", rows},
          {"simulated", simulated},
          {"simulation_limits", simulation_limits()},
          {"notes", study.notes}};
}

std::string study_csv(const Study& study) {
  Json rows = rows_facts(study, study.rows);
  for (const Json& row : rows_facts(study, study.sweep)) rows.push_back(row);
  return csv_table(rows);
}

}  // namespace bitstill
