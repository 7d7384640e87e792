// bitstill cache: a teacher's answers to all that students will see, into files.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <numeric>
#include <optional>

#include "bitstill/base/file.hpp"
#include "bitstill/base/folder_lock.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watchdog.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/teacher/batch_check.hpp"
#include "command.hpp"
#include "device.hpp"
#include "model_on_data.hpp"
#include "run_folder.hpp"
#include "sharded_teacher.hpp"
#include "teacher_cache.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSummary =
    "bitstill cache --config RECIPE --out DIR: asks the teacher of a recipe once about every "
    "training image in\nevery variant of its augmentation, and keeps the answers. distill and "
    "study read them by --teacher.cache\nDIR: at any run.seed (with one data.augment_seed), order "
    "and number of ranks. Of the recipe teacher.*,\ndata.* and run.* count, and of distill.* the "
    "temperature with --top. --overwrite moves an earlier cache\nto DIR.N.";

/// Forward passes that a teacher in slices is asked about at once, where the settings do not say.
constexpr int64_t kSweep = 8;

struct Settings {
  RunConfig config;
  std::string out;
  int64_t top = 0, batch = 64;
};

void check_settings(const Settings& s) {
  const auto require = [](bool good, const std::string& message) {
    if (!good) throw Error(ExitCode::settings, message);
  };
  check(s.config);
  require(!s.out.empty(), "out is not given: name a folder for the cache");
  require(!s.config.data_folder.empty(),
          "data.folder is not given: name a folder made by bitstill shard");
  require(!s.config.teacher_file.empty(),
          "teacher.file is not given: name the teacher's .safetensors file");
  require(s.top >= 0, concat("top = ", s.top, ": give 0 (all logits) or more"));
  require(s.batch >= 2, concat("batch = ", s.batch, ": give 2 or more"));
}

/// Of settled options.
void require_variants(const AugmentationOptions& augmentation) {
  if (augmentation.variants > 0 || !augments(augmentation)) return;
  throw Error(ExitCode::settings,
              "data.variants = 0: augmentation never repeats, so no cache can hold it; give the "
              "number of epochs until it does (here and to distill), or data.shift = 0, data.flip "
              "= false and data.crop = centre or none");
}

/// The index, also one that a killed writer left half done, or a file of logits.
bool of_cache(const std::string& name) {
  return name.starts_with(kCacheIndexFile) ||
         (name.starts_with("logits-") && name.ends_with(".bin") &&
          name.size() == cache_file_name(0).size());
}

/// On rank 0: the folder, locked, without an earlier cache.
FolderLock claim(const std::string& folder, bool overwrite) {
  make_folder(folder);
  FolderLock lock(folder);
  const std::string lock_name = fs::path(FolderLock::path_in(folder)).filename();
  std::vector<std::string> entries;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name == lock_name) continue;
    if (!of_cache(name)) {
      throw Error(ExitCode::settings,
                  concat("out = ", folder, " holds ", name, "; give a new or empty folder"));
    }
    entries.push_back(name);
  }
  const bool whole = fs::exists(folder + "/" + kCacheIndexFile);
  if (whole && !overwrite) {
    throw Error(ExitCode::settings,
                concat("out = ", folder, " holds a cache; --overwrite moves it to ", folder,
                       ".N, or give another folder"));
  }
  if (whole) {
    say(concat("the earlier cache of ", folder, " is now ", move_aside(folder, entries)));
  } else {  // one that was not written to its end is none
    for (const std::string& name : entries) fs::remove(folder + "/" + name);
  }
  return lock;
}

int64_t sweep_size(const TeacherLayout& layout) {
  return layout.sweep_batches > 0 ? layout.sweep_batches : kSweep;
}

/// What a teacher is asked at once. The questions' rows lie in the batches.
struct Sweep {
  std::vector<Batch> batches;
  std::vector<Question> questions;
};

class CacheJob {
 public:
  CacheJob(World& world, const Settings& settings, NamedValues values)
      : world_(world), s_(settings), values_(std::move(values)) {}
  void run();

 private:
  void prepare();
  void compare_files();
  CacheRange range_of(int rank) const;
  int64_t first_pass(int rank) const { return facts_.passes() * rank / world_.place().world; }
  BatchPlan plan() const;
  Sweep read(Prefetcher& prefetcher, int64_t count) const;
  std::exception_ptr write_rows(CacheWriter* writer, Watchdog& watchdog);
  void write(Watchdog& watchdog);
  void print_plan() const;
  void print_result() const;

  World& world_;
  Settings s_;
  NamedValues values_;
  DeviceChoice device_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<Teacher> teacher_;
  CacheFacts facts_;
  double seconds_ = 0, teacher_seconds_ = 0;  // the slowest rank's
  double divergence_ = 0;                     // a row
};

void CacheJob::prepare() {
  Communicator& control = world_.control();
  const RunConfig& config = s_.config;
  agree(control, [&] { check_settings(s_); });
  require_equal(control,
                {{"the build", concat(build_version(), " ", build_commit())},
                 {"the processor's instructions", instruction_set()}},
                ExitCode::environment);
  device_ = choose_device(world_, config.run.device, config.run.threads, false);
  dataset_ = open_dataset(world_, config.data_folder);
  agree(control, [&] {
    settle_images(&s_.config, dataset_.get());
    require_variants(config.augmentation);
  });
  facts_ = cache_facts(config, *dataset_);
  facts_.top = s_.top;
  facts_.batch = s_.batch;
  agree(control, [&] {
    if (facts_.top < facts_.classes && facts_.samples > 0) return;
    throw Error(ExitCode::settings, facts_.samples == 0
                                        ? concat(config.data_folder, " has no train images")
                                        : concat("top = ", s_.top, ": there are ", facts_.classes,
                                                 " classes; give fewer, or 0 for all logits"));
  });
  if (facts_.top == 0) facts_.temperature = 0;
  compare_files();
  teacher_ = load_teacher(world_, config, *dataset_, device_.device);
  facts_.precision = precision_name(teacher_->traits().precision);
  facts_.normalization = teacher_->traits().normalization;
  int64_t depends = depends_on_batch(*teacher_, dataset_->index().shape, device_.device) ? 1 : 0;
  control.all_reduce(&depends, 1, ElementType::i64, Reduction::max);
  facts_.any_batch = depends == 0;
}

/// One rank reads all of the teacher's file, the others samples.
void CacheJob::compare_files() {
  Communicator& control = world_.control();
  const std::string& path = s_.config.teacher_file;
  agree(control, [&] {
    facts_.teacher_samples = sha256_of_samples(path, ExitCode::model);
    facts_.teacher_bytes = static_cast<int64_t>(fs::file_size(path));
    if (world_.place().rank == 0) facts_.teacher_sha256 = sha256_of_file(path, ExitCode::model);
  });
  require_equal(control, {{concat("the SHA-256 of samples of ", path), facts_.teacher_samples}},
                ExitCode::model);
  facts_.teacher_sha256 = broadcast_text(control, facts_.teacher_sha256, 0);
}

CacheRange CacheJob::range_of(int rank) const {
  const int64_t first = facts_.first_row(first_pass(rank));
  return {first, facts_.first_row(first_pass(rank + 1)) - first};
}

/// This rank's passes, in order.
BatchPlan CacheJob::plan() const {
  const int rank = world_.place().rank;
  return [facts = facts_, first = first_pass(rank), end = first_pass(rank + 1)](
             int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    if (first + n >= end) return false;
    const int64_t begin = facts.first_row(first + n);
    *epoch = begin / facts.samples;  // epoch v shows variant v
    rows->resize(static_cast<std::size_t>(facts.first_row(first + n + 1) - begin));
    std::iota(rows->begin(), rows->end(), begin % facts.samples);
    return true;
  };
}

/// The next passes of this rank, at most `count`.
Sweep CacheJob::read(Prefetcher& prefetcher, int64_t count) const {
  Sweep sweep;
  for (Batch batch; count-- > 0 && prefetcher.next(&batch);) {
    sweep.batches.push_back(std::move(batch));
  }
  for (const Batch& batch : sweep.batches) {
    sweep.questions.push_back({to_input(batch, dataset_->index().shape,
                                        teacher_->traits().normalization, device_.device, true),
                               batch.rows, batch.variant});
  }
  return sweep;
}

/// What fails on this rank alone is returned; ranks that answer together go on without its samples.
std::exception_ptr CacheJob::write_rows(CacheWriter* writer, Watchdog& watchdog) {
  const int rank = world_.place().rank, world = world_.place().world;
  const bool together = teacher_->traits().slices.has_value();
  const int64_t mine = first_pass(rank + 1) - first_pass(rank);
  const int64_t passes = together ? (facts_.passes() + world - 1) / world : mine;
  const int64_t size = together ? sweep_size(s_.config.layout) : 1;
  int64_t pass = 0, row = range_of(rank).first;
  teacher_->on_wait(
      [&](bool waits) { watchdog.progress(waits ? Phase::gather : Phase::teacher, pass); });
  const auto decoder =
      make_training_decoder(dataset_->index(), s_.config.augmentation, augmentation_seed(s_.config),
                            s_.config.decode_threads);
  Prefetcher prefetcher(*dataset_, Split::train, plan(), *decoder,
                        static_cast<int>(s_.config.prefetch));
  ProgressBar bar("cache");
  std::exception_ptr failure;
  const auto guarded = [&](const auto& work) {
    try {
      if (!failure) work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (; pass < passes && (together || !failure); pass += size) {
    watchdog.progress(Phase::teacher, pass);
    Sweep sweep;
    guarded([&] { sweep = read(prefetcher, size); });
    const Timer timer;
    std::vector<Answer> answers;
    const auto ask = [&] { answers = teacher_->answer(sweep.questions, pass + size < passes); };
    // Where other ranks wait inside the answer, only the end of the job ends it.
    if (together) {
      ask();
    } else {
      guarded(ask);
    }
    teacher_seconds_ += timer.seconds();
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const int64_t count = sweep.batches[i].count();
      guarded([&] { writer->add(row, answers[i].logits(0, count).cpu()); });
      row += count;
    }
    bar.show(std::min(pass + size, mine), mine, "");
  }
  watchdog.progress(Phase::exchange, pass);
  return failure;
}

void CacheJob::write(Watchdog& watchdog) {
  Communicator& control = world_.control();
  const Place& place = world_.place();
  const Timer timer;
  std::optional<CacheWriter> writer;
  agree(control, [&] {
    const CacheRange mine = range_of(place.rank);
    if (mine.count == 0) return;
    writer.emplace(s_.out, facts_, static_cast<std::size_t>(place.rank), mine);
  });
  const std::exception_ptr failure = write_rows(writer ? &*writer : nullptr, watchdog);
  agree(control, [&] {
    if (failure) std::rethrow_exception(failure);
    if (writer) writer->finish();
  });
  agree(control, [&] {
    if (place.rank != 0) return;
    std::vector<CacheRange> ranges;
    for (int rank = 0; rank < place.world; ++rank) ranges.push_back(range_of(rank));
    write_cache_index(s_.out, facts_, ranges);
  });
  double slowest[] = {timer.seconds(), teacher_seconds_};
  control.all_reduce(slowest, 2, ElementType::f64, Reduction::max);
  seconds_ = slowest[0];
  teacher_seconds_ = slowest[1];
  divergence_ = writer ? writer->divergence() : 0;
  control.all_reduce(&divergence_, 1, ElementType::f64);
  divergence_ /= static_cast<double>(facts_.rows());
}

void CacheJob::print_plan() const {
  if (world_.place().rank != 0) return;
  std::printf("%s", recipe_text(values_).c_str());
  std::printf("# cache: %lld samples in %lld variants, %s: %s\n",
              static_cast<long long>(facts_.samples), static_cast<long long>(facts_.variants),
              kept_text(facts_.top, facts_.temperature).c_str(),
              human_bytes(static_cast<double>(facts_.rows() * facts_.row_bytes())).c_str());
  std::printf("# teacher: %s\n", layout_text(*teacher_).c_str());
}

void CacheJob::print_result() const {
  if (world_.place().rank != 0) return;
  std::printf("%s: %lld bytes, %lld samples in %lld variants, %s, by the teacher in %s\n",
              s_.out.c_str(), static_cast<long long>(facts_.rows() * facts_.row_bytes()),
              static_cast<long long>(facts_.samples), static_cast<long long>(facts_.variants),
              kept_text(facts_.top, facts_.temperature).c_str(), facts_.precision.c_str());
  if (facts_.top > 0) {
    std::printf("mean KL divergence of all logits from those kept, at T = %g: %.3g\n",
                facts_.temperature, divergence_);
  }
  const auto epochs = static_cast<double>(s_.config.train.epochs);
  const double asked = teacher_seconds_ / static_cast<double>(facts_.variants) * epochs;
  std::printf("written in %.2f s, %.2f s of them in the teacher", seconds_, teacher_seconds_);
  if (asked > 0) {
    std::printf(
        "; a student of %.0f epochs asks it for %.2f s on as many ranks: the cache pays "
        "from student %.0f on",
        epochs, asked, std::max(1.0, std::ceil(seconds_ / asked)));
  }
  std::printf("\n");
}

void CacheJob::run() {
  prepare();
  if (s_.config.dry_run) {
    print_plan();
    return;
  }
  FolderLock lock;
  agree(world_.control(), [&] {
    if (world_.place().rank != 0) return;
    try {
      lock = claim(s_.out, s_.config.overwrite);
    } catch (const fs::filesystem_error& error) {
      throw Error(ExitCode::storage, concat("out = ", s_.out, ": ", error.what()));
    }
  });
  Watchdog watchdog(world_, s_.config.run.timeout_s);
  write(watchdog);
  watchdog.stop();
  print_result();
}

}  // namespace

int run_cache(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  table.add("out", &s.out, "the cache's folder; without it teacher.cache");
  table.add("top", &s.top, "logits kept of an image, and the mass of the others; 0: all logits");
  table.add("batch", &s.batch, "images of a forward pass");
  add_settings(table, s.config);
  if (!read_settings(world, table, arguments, kSummary)) return 0;
  if (s.out.empty()) s.out = s.config.teacher_cache;
  CacheJob(world, s, table.values()).run();
  return 0;
}

}  // namespace bitstill
