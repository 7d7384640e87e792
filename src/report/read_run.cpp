#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/run_log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/report/report.hpp"

namespace bitstill {
namespace {

constexpr double kSameEpoch = 1e-9;  // fractions of epochs that differ by rounding alone

/// A JSON object of the log with its place, for messages.
struct Entry {
  const Json& json;
  const std::string& where;
};

[[noreturn]] void wrong_type(const Entry& at, const std::string& name, const char* wanted) {
  throw Error(ExitCode::data, concat(at.where, ": \"", name, "\" is not ", wanted,
                                     ": not a run log of this program"));
}

const Json* find(const Entry& at, const std::string& name) {
  const auto entry = at.json.find(name);
  return entry == at.json.end() || entry->is_null() ? nullptr : &*entry;
}

/// Losses that are not finite are written as null: missing.
double number(const Entry& at, const std::string& name, double otherwise = kMissing) {
  const Json* value = find(at, name);
  if (!value) return otherwise;
  if (!value->is_number()) wrong_type(at, name, "a number");
  return value->get<double>();
}

std::string text(const Entry& at, const std::string& name) {
  const Json* value = find(at, name);
  if (!value) return "";
  if (!value->is_string()) wrong_type(at, name, "a text");
  return value->get<std::string>();
}

const Json& object(const Entry& at, const std::string& name) {
  static const Json kEmpty = Json::object();
  const Json* value = find(at, name);
  if (!value) return kEmpty;
  if (!value->is_object()) wrong_type(at, name, "an object");
  return *value;
}

NamedNumbers numbers(const Entry& at, const std::string& name) {
  const Entry inner{object(at, name), at.where};
  NamedNumbers values;
  for (const auto& [key, unused] : inner.json.items()) values.emplace_back(key, number(inner, key));
  return values;
}

std::vector<std::pair<std::string, std::string>> texts(const Entry& at, const std::string& name) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : object(at, name).items()) {
    values.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return values;
}

Evaluation evaluation(const Entry& at, const std::string& name) {
  const Entry inner{object(at, name), at.where};
  Evaluation result;
  result.loss = number(inner, "loss");
  result.soft_loss = number(inner, "soft_loss");
  result.hard_loss = number(inner, "hard_loss");
  result.accuracy = number(inner, "accuracy");
  result.low = number(inner, "low");
  result.high = number(inner, "high");
  result.samples = number(inner, "samples");
  result.perplexity = number(inner, "perplexity");
  // Older logs give such a proportion as 0 %.
  if (result.samples == 0) result.accuracy = result.low = result.high = kMissing;
  const double correct = number(inner, "correct");
  if (result.samples >= 1 && correct >= 0 && correct <= result.samples) {
    if (std::isnan(result.accuracy)) result.accuracy = 100 * correct / result.samples;
    if (std::isnan(result.low) || std::isnan(result.high)) {
      std::tie(result.low, result.high) =
          wilson_interval(std::llround(correct), std::llround(result.samples));
    }
  }
  return result;
}

/// By launch/run.sh --restarts.
void add_restart(Run& run, const Entry& at) {
  const Json restart = object(at, "restart");
  if (restart.empty()) return;
  const Entry inner{restart, at.where};
  std::string note = concat("restart ", number(inner, "number"), " by its launcher");
  const std::string hosts = text(inner, "hosts_lost");
  if (!hosts.empty()) note += ", without the hosts " + hosts;
  run.notes.push_back(std::move(note));
}

/// What a process says of itself; what one before it said of the run's end no longer holds.
void add_start(Run& run, const Entry& at) {
  Run now;
  now.folder = run.folder;
  now.name = run.name;
  now.started = run.started.empty() ? text(at, "time") : run.started;
  now.steps = std::move(run.steps);
  now.epochs = std::move(run.epochs);
  now.notes = std::move(run.notes);
  run = std::move(now);
  run.command = text(at, "command");
  run.settings = texts(at, "settings");
  run.versions = texts(at, "versions");
  run.host = text(at, "host");
  run.hosts = number(at, "hosts");
  run.cpu_model = text(at, "cpu_model");
  run.data = text(at, "data");
  run.network = object(at, "network");
  run.study = find(at, "study") ? object(at, "study") : Json();
  run.world = number(at, "world");
  run.threads = number(at, "threads");
  run.parameters = number(at, "parameters");
  run.formula_bits = number(at, "formula_bits");
  add_restart(run, at);
  run.teacher.bytes = number(at, "teacher_bytes");
  for (const auto& [name, value] : run.settings) {
    if (name == "teacher.file") run.teacher.file = value;
  }
}

/// Drops what lies behind these places: it is done again, and only the last time counts. Not only
/// a "resumed" says so: a run that died before its first checkpoint begins anew without one.
void go_back(Run& run, double step_epoch, double epoch) {
  while (!run.steps.empty() && run.steps.back().epoch > step_epoch) run.steps.pop_back();
  while (!run.epochs.empty() && run.epochs.back().epoch > epoch) run.epochs.pop_back();
}

void add_resumed(Run& run, const Entry& at) {
  const double epoch = number(at, "epoch"), step = number(at, "step");
  std::string note = concat("resumed after epoch ", epoch);
  if (!run.steps.empty() && run.steps.back().step > step) {
    note += concat(", ", run.steps.back().step - step, " steps done again");
  }
  go_back(run, epoch + kSameEpoch, epoch + kSameEpoch);
  run.notes.push_back(std::move(note));
}

void add_step(Run& run, const Entry& at) {
  StepRecord record;
  record.step = number(at, "step");
  record.epoch = number(at, "epoch");
  record.steps = number(at, "steps", 1);
  record.seconds = number(at, "seconds");
  record.loss = number(at, "loss");
  record.soft_loss = number(at, "soft_loss");
  record.hard_loss = number(at, "hard_loss");
  record.accuracy = number(at, "accuracy");
  record.rate = number(at, "rate");
  record.images_per_s = number(at, "images_per_s");
  record.tokens_per_s = number(at, "tokens_per_s");
  record.memory_mb = number(at, "memory_mb");
  record.ms = numbers(at, "ms");
  record.bytes = numbers(at, "bytes");
  go_back(run, record.epoch - kSameEpoch, record.epoch - kSameEpoch);
  run.steps.push_back(std::move(record));
}

void add_epoch(Run& run, const Entry& at) {
  EpochRecord record;
  record.epoch = number(at, "epoch");
  record.seconds = number(at, "seconds");
  record.rate = number(at, "rate");
  record.train = evaluation(at, "train");
  record.validation = evaluation(at, "validation");
  go_back(run, record.epoch + kSameEpoch, record.epoch - kSameEpoch);
  run.epochs.push_back(std::move(record));
}

void add_end(Run& run, const Entry& at) {
  run.finished = true;
  run.ended = text(at, "time");
  run.seconds = number(at, "seconds");
  run.best_epoch = number(at, "best_epoch");
  run.validation = evaluation(at, "validation");
  run.test = evaluation(at, "test");
  run.trained_norm_test = evaluation({object(at, "without_reestimation"), at.where}, "test");
  run.fp32_bytes = number(at, "fp32_file_bytes");
  const Json& files = object(at, "files");
  for (const auto& [name, unused] : files.items()) {
    const Entry file{object({files, at.where}, name), at.where};
    run.files.emplace_back(name, number(file, "bytes"));
  }
}

void add_line(Run& run, const std::string& line, const std::string& where) {
  const Json json = parse_json(line, where, ExitCode::data);
  if (!json.is_object()) {
    throw Error(ExitCode::data, where + ": not a JSON object: not a run log of this program");
  }
  const Entry at{json, where};
  const std::string type = text(at, "type");
  if (type == "start") add_start(run, at);
  if (type == "resumed") add_resumed(run, at);
  if (type == "step") add_step(run, at);
  if (type == "epoch") add_epoch(run, at);
  if (type == "end") add_end(run, at);
  if (type.empty()) {
    throw Error(ExitCode::data, where + ": \"type\" is missing: not a run log of this program");
  }
}

/// Only a line without its newline can have been cut by a kill.
bool torn(const std::string& line) {
  return !Json::accept(line);
}

}  // namespace

std::string own_name(const std::string& folder) {
  const std::filesystem::path root = std::filesystem::absolute(folder).lexically_normal();
  return (root.has_filename() ? root : root.parent_path()).filename().string();
}

Run read_run(const std::string& folder) {
  Run run;
  run.folder = folder;
  run.name = own_name(folder);
  const std::string path = (std::filesystem::path(folder) / "run.jsonl").string();
  const std::string log = read_file(path, ExitCode::data, kMostLogBytes);
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < log.size();) {
    const std::size_t end = std::min(log.find('\n', begin), log.size());
    const std::string line = log.substr(begin, end - begin);
    ++line_number;
    begin = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (end == log.size() && torn(line)) {
      run.notes.push_back(
          concat("the log's last line (", line_number, ") is torn and was ignored"));
      break;
    }
    add_line(run, line, concat(path, ":", line_number));
  }
  if (line_number == 0) run.notes.push_back("the log is empty");
  if (!run.finished)
    run.notes.push_back("the log has no end: the run is still going or was stopped");
  return run;
}

}  // namespace bitstill
