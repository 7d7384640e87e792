// bitstill study: the runs of a grid, one after the other, each on all ranks; then its report.
#include "bitstill/config/study.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "device.hpp"
#include "job.hpp"
#include "report.hpp"
#include "study_sentences.hpp"

namespace bitstill {
namespace {

/// How far the run in a folder is; none: there is no folder.
enum class Stage : int64_t { none, unfinished, finished };

/// A run's settings bound to their names.
struct BoundConfig {
  explicit BoundConfig(const RunConfig& base) : config(base) { add_settings(table, config); }
  BoundConfig(const BoundConfig&) = delete;
  BoundConfig& operator=(const BoundConfig&) = delete;
  RunConfig config;
  SettingTable table;
};

/// Error(settings) when the folder's run was made with other settings: its figures are not those
/// of this study, and to replace hours of work is not for a program to decide.
void require_same_settings(const Run& run, const SettingTable& table) {
  RunRecord before, now;
  before.settings = run.settings;
  now.settings = table.values();
  for (const Difference& one : differences(before, now, BoundConfig(RunConfig{}).table.values())) {
    // Without a checkpoint at hand files (Matter::file) are compared by their names.
    if (one.matter == Matter::place) continue;
    throw Error(ExitCode::settings,
                concat(run.folder, " was made with ", one.name, " = ", one.before, ", now it is ",
                       one.now, "; remove that folder, or give another study.folder"));
  }
}

Stage stage_of(const std::string& folder, const SettingTable& table) {
  if (!std::filesystem::exists(folder)) return Stage::none;
  if (!std::filesystem::exists(folder + "/run.jsonl")) return Stage::unfinished;
  const Run run = read_run(folder);
  if (run.settings.empty()) return Stage::unfinished;  // stopped before its first line
  require_same_settings(run, table);
  const bool whole = run.finished && std::filesystem::exists(folder + "/student.safetensors") &&
                     std::filesystem::exists(folder + "/master.safetensors");
  return whole ? Stage::finished : Stage::unfinished;
}

class StudyJob {
 public:
  StudyJob(World& world, const StudyOptions& options, const RunConfig& base, std::string recipe)
      : world_(world), options_(options), base_(base), recipe_(std::move(recipe)) {}
  int run();

 private:
  void prepare();
  void require_sequences() const;
  bool run_teacher();
  bool run_one(const StudyRun& run, const std::string& progress);
  bool run_unless_finished(BoundConfig& bound, bool distill, const Json& label,
                           const std::string& progress);
  bool translate(const std::string& folder);
  void print_plan() const;
  int report();

  World& world_;
  StudyOptions options_;
  RunConfig base_;
  std::string recipe_;  // all of the study's settings
  FolderLock lock_;     // of study.folder, on rank 0
  std::vector<StudyRun> plan_;
  KeptTeacher teacher_;
  StudySentences sentences_;
};

void StudyJob::require_sequences() const {
  const std::string index = options_.sequence_folder + "/index.json";
  for (const StudyRun& run : plan_) {
    if (!run.arm->sequences || std::filesystem::exists(index)) continue;
    throw Error(ExitCode::data,
                concat("study.sequence_folder: there is no ", index, " for ", run.name,
                       "; when the teacher is trained, make it by bitstill translate --shards"));
  }
}

void StudyJob::prepare() {
  agree(world_.control(), [&] {
    plan_ = plan_study(options_);
    if (base_.resume != Resume::no || base_.overwrite) {
      throw Error(ExitCode::settings,
                  "a study goes on by itself and keeps its finished runs; leave out --resume and "
                  "--overwrite, or give another study.folder");
    }
    if (!options_.teacher.empty() && !base_.teacher_file.empty()) {
      throw Error(ExitCode::settings, "study.teacher and teacher.file are both given; give one");
    }
    if (!options_.teacher.empty()) {
      base_.teacher_file = options_.folder + "/teacher/master.safetensors";
    }
    require_sequences();
    // Every run's settings are checked now, not after hours.
    for (const StudyRun& run : plan_) {
      BoundConfig bound(base_);
      try {
        for (const auto& [name, value] : run.settings) bound.table.set(name, value);
        check(bound.config);
      } catch (const Error& error) {
        throw Error(error.code(), concat(run.name, ": ", error.what()));
      }
    }
  });
}

/// False: stopped by a signal.
bool StudyJob::translate(const std::string& folder) {
  if (sentences_.sources.empty()) return true;
  if (stop_requested_anywhere(world_.control())) return false;
  translate_run(world_, sentences_, folder, base_.run.timeout_s);
  return true;
}

/// False: stopped by a signal.
bool StudyJob::run_unless_finished(BoundConfig& bound, bool distill, const Json& label,
                                   const std::string& progress) {
  if (stop_requested_anywhere(world_.control())) return false;
  const std::string& folder = bound.config.run.folder;
  auto stage = static_cast<int64_t>(Stage::none);
  agree(world_.control(), [&] {
    if (world_.place().rank == 0) stage = static_cast<int64_t>(stage_of(folder, bound.table));
  });
  world_.control().broadcast(&stage, 1, ElementType::i64, 0);
  if (stage == static_cast<int64_t>(Stage::finished)) {
    say(concat(progress, folder, " is finished"));
    return translate(folder);
  }
  say(concat(progress, folder));
  bound.config.resume =
      stage == static_cast<int64_t>(Stage::unfinished) ? Resume::automatic : Resume::no;
  try {
    return Job(world_, bound.table, bound.config, distill, teacher_, label).run() &&
           translate(folder);
  } catch (const AgreedError& error) {
    throw AgreedError(error.code(), concat(folder, ": ", error.what()));
  }
}

/// The teacher's recipe, but with this study's data and device.
bool StudyJob::run_teacher() {
  if (options_.teacher.empty()) return true;
  BoundConfig bound(RunConfig{});
  agree(world_.control(), [&] { bound.table.read({"--config", options_.teacher}); });
  bound.config.data_folder = base_.data_folder;
  bound.config.run.folder = options_.folder + "/teacher";
  bound.config.run.device = base_.run.device;
  bound.config.run.threads = base_.run.threads;
  bound.config.run.timeout_s = base_.run.timeout_s;
  const Json label = {{"arm", "teacher"},
                      {"title", "teacher"},
                      {"order", -1},
                      {"bits", 0},
                      {"seed", bound.config.run.seed},
                      {"point", ""}};
  return run_unless_finished(bound, false, label, "[teacher] ");
}

bool StudyJob::run_one(const StudyRun& run, const std::string& progress) {
  BoundConfig bound(base_);
  for (const auto& [name, value] : run.settings) bound.table.set(name, value);
  const Json label = {{"arm", run.arm->name}, {"title", run.arm->title}, {"order", run.order},
                      {"bits", run.bits},     {"seed", run.seed},        {"point", run.point}};
  return run_unless_finished(bound, run.arm->distills, label, progress);
}

void StudyJob::print_plan() const {
  if (world_.place().rank != 0) return;
  for (const StudyRun& run : plan_) {
    std::printf("%s:", run.name.c_str());
    for (const auto& [name, value] : run.settings)
      std::printf(" %s=%s", name.c_str(), value.c_str());
    std::printf("\n");
  }
  std::printf("# %zu runs\n", plan_.size());
}

/// The exit code: a grid that cannot tell QD from PM shows nothing about the methods.
int StudyJob::report() {
  int64_t code = 0;
  agree(world_.control(), [&] {
    if (world_.place().rank != 0) return;
    Study study = read_study(options_.folder);
    study.pm_gap = options_.pm_gap;
    report_study(study, options_.folder + "/report.html");
    for (const Target& target : study_targets(study)) {
      if (!options_.check || !target.separation || target.pass) continue;
      code = static_cast<int64_t>(ExitCode::model);
      print_error(concat("the grid does not separate QD from PM: ", target.name, ": ",
                         target.figure, " (study.check)"));
      return;
    }
  });
  world_.control().broadcast(&code, 1, ElementType::i64, 0);
  return static_cast<int>(code);
}

int StudyJob::run() {
  prepare();
  if (base_.dry_run) {
    print_plan();
    return 0;
  }
  watch_signals();
  sentences_ = read_study_sentences(world_, options_);
  if (!sentences_.sources.empty()) {
    sentences_.options.device =
        choose_device(world_, base_.run.device, base_.run.threads, false).device;
  }
  agree(world_.control(), [&] {
    if (world_.place().rank != 0) return;
    make_folder(options_.folder);
    lock_ = FolderLock(options_.folder);
    replace_file(options_.folder + "/study.cfg", recipe_);
  });
  bool whole = run_teacher();
  for (std::size_t i = 0; whole && i < plan_.size(); ++i) {
    whole = run_one(plan_[i], concat("[", i + 1, "/", plan_.size(), "] "));
  }
  if (whole) return report();
  say("stopped by a signal; the same command continues");
  return static_cast<int>(ExitCode::stopped);
}

}  // namespace

int run_study(World& world, const Words& arguments) {
  RunConfig base;
  StudyOptions options;
  SettingTable table;
  table.add_section("study", options);
  add_settings(table, base);
  Words words = arguments;
  if (!words.empty() && !words[0].starts_with("--")) words.insert(words.begin(), "--config");
  if (!read_settings(world, table, words,
                     concat("bitstill study STUDY.cfg [--section.key value ...]: trains the arms "
                            "of a grid x study.bits x\nstudy.seeds from one recipe, in one job, "
                            "and reports them. The same command continues where it\nwas stopped; "
                            "finished runs are kept.\n\n",
                            arms_help()))) {
    return 0;
  }
  return StudyJob(world, options, base, recipe_text(table.values())).run();
}

}  // namespace bitstill
