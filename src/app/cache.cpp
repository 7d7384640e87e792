// bitstill cache: a teacher's answers to all that students will see, into files.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/folder_lock.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watchdog.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/infer/sentence_lengths.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/teacher/batch_check.hpp"
#include "cache_rows.hpp"
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
    "training image in\nevery variant of its augmentation, or every target token of sentences, and "
    "keeps the answers. distill and\nstudy read them by --teacher.cache DIR: at any run.seed "
    "(data.augment_seed is the cache's), order and number\nof ranks; bit for bit for images, "
    "within rounding for sentences. Of the recipe teacher.*, data.* and run.*\ncount, and of "
    "distill.* the temperature with --top. --resume goes on, on as many ranks, where an earlier\n"
    "call was killed; --overwrite moves an earlier cache to DIR.N.";

constexpr int64_t kImages = 64, kPaddedTokens = 2048;  // of a forward pass, unless it is given

struct Settings {
  RunConfig config;
  std::string out;
  int64_t top = 0, batch = 0;
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
  require(!mixes(s.config.augmentation.mix),
          "data.mixup and data.cutmix mix pictures anew in every epoch, so no cache can hold them; "
          "leave them out (here and from distill)");
  require(s.top >= 0, concat("top = ", s.top, ": give 0 (all logits) or more"));
  require(s.batch == 0 || s.batch >= 2, concat("batch = ", s.batch, ": give 2 or more"));
}

/// Of settled options.
void require_variants(const AugmentationOptions& augmentation) {
  if (augmentation.variants > 0 || !augments(augmentation)) return;
  throw Error(
      ExitCode::settings,
      "data.variants = 0: augmentation never repeats, so no cache can hold it; give the "
      "number of epochs until it does (here and to distill), or leave out data.shift, data.flip, "
      "data.jitter, data.lighting, data.erase and data.crop = random");
}

/// The index, also one that a killed writer left half done, or a file of logits.
bool of_cache(const std::string& name) {
  return name.starts_with(kCacheIndexFile) ||
         (name.starts_with("logits-") && name.ends_with(".bin") &&
          name.size() == cache_file_name(0).size());
}

/// The folder, locked on rank 0, and whether it holds the cache that is asked for.
struct Claim {
  FolderLock lock;
  bool whole = false;
};

/// Without an earlier cache; with --resume what there is of this one stays.
Claim claim(const std::string& folder, const CacheFacts& facts, Resume resume, bool overwrite) {
  make_folder(folder);
  Claim claimed{FolderLock(folder)};
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
  if (whole && resume != Resume::no && LogitCache(folder).is_of(facts)) {
    claimed.whole = true;
    return claimed;
  }
  if (whole && !overwrite) {
    throw Error(ExitCode::settings,
                concat("out = ", folder, " holds a", resume == Resume::no ? "" : "nother",
                       " cache; --overwrite moves it to ", folder, ".N, or give another folder"));
  }
  if (resume == Resume::yes && entries.empty()) {
    throw Error(ExitCode::settings,
                concat("--resume: ", folder, " holds no cache; --resume=auto starts one there"));
  }
  if (whole) {
    say(concat("the earlier cache of ", folder, " is now ", move_aside(folder, entries)));
  } else if (resume == Resume::no) {  // one that was not written to its end is none
    for (const std::string& name : entries) fs::remove(folder + "/" + name);
  }
  return claimed;
}

class CacheJob {
 public:
  CacheJob(World& world, const Settings& settings, NamedValues values)
      : world_(world), s_(settings), values_(std::move(values)) {}
  void run();

 private:
  void prepare();
  void compare_files();
  CachedFacts held() const;
  void print_plan() const;
  void print_result(const CacheCost& cost) const;
  void write(Watchdog& watchdog);

  World& world_;
  Settings s_;
  NamedValues values_;
  DeviceChoice device_;
  std::unique_ptr<Dataset> dataset_;
  std::vector<SentenceLengths> lengths_;  // of train's sentences
  std::unique_ptr<Teacher> teacher_;
  CacheFacts facts_;
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
  dataset_ = open_dataset(world_, config.data_folder, Holds::anything);
  const DataIndex& index = dataset_->index();
  const bool sentences = index.content == Content::tokens;
  agree(control, [&] {
    settle_images(&s_.config, dataset_.get());
    require_variants(config.augmentation);
    if (sentences) {
      fit_to_sentences(vocabularies_of(config.data_folder, index), &s_.config.model);
    } else {
      s_.config.model.classes = static_cast<int64_t>(index.classes.size());
    }
  });
  if (sentences) lengths_ = lengths_for_all(*dataset_, Split::train, control);
  facts_ = cache_facts(config, *dataset_, lengths_);
  facts_.top = s_.top;
  facts_.batch = s_.batch > 0 ? s_.batch : sentences ? kPaddedTokens : kImages;
  agree(control, [&] {
    if (facts_.top < facts_.classes && facts_.samples > 0) return;
    const char* const held = sentences ? "sentences" : "images";
    throw Error(ExitCode::settings, facts_.samples == 0
                                        ? concat(config.data_folder, " has no train ", held)
                                        : concat("top = ", s_.top, ": there are ", facts_.classes,
                                                 sentences ? " pieces" : " classes",
                                                 "; give fewer, or 0 for all logits"));
  });
  if (facts_.top == 0) facts_.temperature = 0;
  compare_files();
  teacher_ = load_teacher(world_, config, *dataset_, device_.device);
  facts_.precision = precision_name(teacher_->traits().precision);
  facts_.normalization = teacher_->traits().normalization;
  if (sentences) return;
  int64_t depends = depends_on_batch(*teacher_, index.shape, device_.device) ? 1 : 0;
  control.all_reduce(&depends, 1, ElementType::i64, Reduction::max);
  facts_.any_batch = depends == 0;
}

/// One rank reads all of the teacher's file, the others samples.
void CacheJob::compare_files() {
  Communicator& control = world_.control();
  const std::string& path = s_.config.teacher_file;
  agree(control, [&] {
    facts_.teacher_samples = model_samples_sha256(path);
    facts_.teacher_bytes = static_cast<int64_t>(model_bytes(path));
    if (world_.place().rank == 0) facts_.teacher_sha256 = model_sha256(path);
  });
  require_equal(control, {{concat("the SHA-256 of samples of ", path), facts_.teacher_samples}},
                ExitCode::model);
  facts_.teacher_sha256 = broadcast_text(control, facts_.teacher_sha256, 0);
}

CachedFacts CacheJob::held() const {
  return {facts_.variants, facts_.samples,    facts_.terms, facts_.rows() * facts_.row_bytes(),
          facts_.top,      facts_.temperature};
}

void CacheJob::print_plan() const {
  if (world_.place().rank != 0) return;
  std::printf("%s", recipe_text(values_).c_str());
  std::printf("# cache: %s: %s\n", held_text(held()).c_str(),
              human_bytes(static_cast<double>(held().bytes)).c_str());
  std::printf("# teacher: %s\n", layout_text(*teacher_).c_str());
}

void CacheJob::print_result(const CacheCost& cost) const {
  if (world_.place().rank != 0) return;
  std::printf("%s: %lld bytes, %s, by the teacher in %s\n", s_.out.c_str(),
              static_cast<long long>(held().bytes), held_text(held()).c_str(),
              facts_.precision.c_str());
  if (facts_.top > 0) {
    std::printf("mean KL divergence of all logits from those kept, at T = %g: %.3g%s\n",
                facts_.temperature, cost.divergence,
                cost.rows_kept > 0 ? " (of the rows written now)" : "");
  }
  const auto epochs = static_cast<double>(s_.config.train.epochs);
  const double asked = cost.teacher_seconds / static_cast<double>(facts_.variants) * epochs;
  std::printf("written in %.2f s, %.2f s of them in the teacher", cost.seconds,
              cost.teacher_seconds);
  if (asked > 0 && cost.rows_kept == 0) {
    std::printf(
        "; a student of %.0f epochs asks it for %.2f s on as many ranks: the cache pays "
        "from student %.0f on",
        epochs, asked, std::max(1.0, std::ceil(cost.seconds / asked)));
  }
  std::printf("\n");
}

void CacheJob::run() {
  Watchdog watchdog(world_, s_.config.run.timeout_s);
  watchdog.allow(Phase::load, s_.config.run.load_factor);
  watchdog.progress(Phase::load, 0);
  prepare();
  s_.config.dry_run ? print_plan() : write(watchdog);
  watchdog.stop();
}

void CacheJob::write(Watchdog& watchdog) {
  const Resume resume = s_.config.resume;
  Claim claimed;
  agree(world_.control(), [&] {
    if (world_.place().rank != 0) return;
    try {
      claimed = claim(s_.out, facts_, resume, s_.config.overwrite);
    } catch (const fs::filesystem_error& error) {
      throw_system_error(ExitCode::storage, concat("out = ", s_.out),
                         "use " + error.path1().string(), error.code().value());
    }
  });
  int64_t whole = claimed.whole ? 1 : 0;
  world_.control().broadcast(&whole, 1, ElementType::i64, 0);
  if (whole != 0) {
    say(concat(s_.out, " holds this cache whole"));
    return;
  }
  const CacheCost cost = write_cache({world_, s_.config, *dataset_, *teacher_, facts_, lengths_,
                                      s_.out, resume != Resume::no, device_.device},
                                     watchdog);
  print_result(cost);
}

}  // namespace

int run_cache(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  table.add("out", &s.out, "the cache's folder; without it teacher.cache");
  table.add("top", &s.top,
            "logits kept of an image or a target token, and the mass of the others; 0: all logits");
  table.add("batch", &s.batch, "images of a forward pass (0: 64), or padded tokens (0: 2048)");
  add_settings(table, s.config);
  if (!read_settings(world, table, arguments, kSummary)) return 0;
  if (s.out.empty()) s.out = s.config.teacher_cache;
  CacheJob(world, s, table.values()).run();
  return 0;
}

}  // namespace bitstill
