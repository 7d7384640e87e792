#include "bitstill/config/run_record.hpp"

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/config/recipe.hpp"

namespace bitstill {
namespace {

constexpr const char* kPlaces[] = {
    "data.prefetch",    "data.threads",         "run.folder",
    "run.device",       "run.threads",          "run.timeout_s",
    "run.log_steps",    "run.check_steps",      "run.load_factor",
    "run.save_factor",  "run.walltime_s",       "run.stop_steps",
    "run.save_steps",   "run.save_minutes",     "run.keep",
    "run.keep_every",   "run.on_storage_error", "run.tensorboard",
    "exchange.overlap", "teacher.sharding",     "teacher.group",
    "teacher.window",   "teacher.piece_bytes",  "teacher.sweep_batches",
    "teacher.memory_mb"};
constexpr const char* kFiles[] = {"data.folder", "teacher.file", "teacher.cache", "student.init"};

template <std::size_t N>
bool holds(const char* const (&names)[N], const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// The names of RunRecord's texts in JSON and in messages.
struct Fact {
  const char* key;
  const char* name;
  std::string RunRecord::*value;
  Matter matter;
};
constexpr Fact kFacts[] = {
    {"data", "the index of data.folder", &RunRecord::data, Matter::method},
    {"teacher_sha256", "the bytes of teacher.file", &RunRecord::teacher, Matter::method},
    {"teacher_samples", "samples of teacher.file", &RunRecord::teacher_samples, Matter::method},
    {"init_sha256", "the bytes of student.init", &RunRecord::student_init, Matter::method},
    {"precision", "what train.precision comes to", &RunRecord::precision, Matter::method},
    {"teacher_precision", "what teacher.precision comes to", &RunRecord::teacher_precision,
     Matter::method},
    {"soft_targets", "what teacher.cache keeps", &RunRecord::soft_targets, Matter::method},
    {"device", "what run.device comes to", &RunRecord::device, Matter::method},
    {"processor", "the processor's instructions", &RunRecord::processor, Matter::rounding},
};

std::string value_of(const SettingValues& settings, const std::string& name,
                     const std::string& otherwise) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const auto& setting) { return setting.first == name; });
  return found == settings.end() ? otherwise : found->second;
}

std::string shown(const std::string& value) {
  return value.empty() ? "(none)" : value;
}

}  // namespace

Json to_json(const RunRecord& record) {
  Json settings;
  for (const auto& [name, value] : record.settings) settings[name] = value;
  Json json = {{"command", record.command}, {"settings", settings}, {"world", record.world}};
  for (const Fact& fact : kFacts) json[fact.key] = record.*fact.value;
  return json;
}

RunRecord run_record_from_json(const Json& json, const std::string& where) {
  RunRecord record;
  try {
    record.command = json.at("command").get<std::string>();
    for (const auto& [name, value] : json.at("settings").items()) {
      record.settings.emplace_back(name, value.get<std::string>());
    }
    record.world = json.at("world").get<int64_t>();
    for (const Fact& fact : kFacts) record.*fact.value = json.value(fact.key, std::string());
  } catch (const Json::exception&) {
    throw Error(ExitCode::model, concat(where, " does not say what its run was started with"));
  }
  return record;
}

Matter matter_of(const std::string& setting) {
  if (setting == "train.epochs") return Matter::length;
  if (holds(kFiles, setting)) return Matter::file;
  return of_one_call(setting) || holds(kPlaces, setting) ? Matter::place : Matter::method;
}

std::vector<Difference> differences(const RunRecord& before, const RunRecord& now,
                                    const SettingValues& defaults) {
  std::vector<Difference> found;
  const auto compare = [&](const std::string& name, const std::string& old_value,
                           const std::string& new_value, Matter matter) {
    if (old_value != new_value) found.push_back({name, old_value, new_value, matter});
  };
  compare("the command", before.command, now.command, Matter::method);
  for (const auto& [name, value] : now.settings) {
    compare(name, value_of(before.settings, name, value_of(defaults, name, value)), value,
            matter_of(name));
  }
  for (const Fact& fact : kFacts) {
    const std::string& known = before.*fact.value;
    // A teacher in slices is read by all ranks together, and none has the hash of the whole file.
    const bool left_out = fact.value == &RunRecord::teacher && (now.*fact.value).empty();
    if (!known.empty() && !left_out) compare(fact.name, known, now.*fact.value, fact.matter);
  }
  compare("the number of ranks", std::to_string(before.world), std::to_string(now.world),
          Matter::ranks);
  return found;
}

void require_may_continue(const std::vector<Difference>& differences, int64_t micro,
                          const std::string& folder) {
  std::vector<std::string> refused;
  std::string mend = "; give the old value, or start anew in another run.folder";
  for (const Difference& one : differences) {
    if (one.matter == Matter::method || (one.matter == Matter::ranks && micro == 0)) {
      refused.push_back(
          concat(one.name, " was ", shown(one.before), " and is ", shown(one.now), " now"));
    }
    if (one.matter == Matter::ranks && micro == 0) {
      mend = concat(
          "; with train.micro_batch = 0, of sentences train.micro_tokens = 0, the "
          "micro-batches depend on the ranks: start ",
          one.before, ", or start anew in another run.folder");
    }
  }
  if (refused.empty()) return;
  throw Error(ExitCode::settings,
              concat("the run of ", folder, " cannot go on so: ", list_names(refused, 4), mend));
}

}  // namespace bitstill
