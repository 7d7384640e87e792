// Set up on all ranks, compare, then hand over to the trainer.
#include "job.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/redistribute.hpp"
#include "life_sign.hpp"
#include "model_on_data.hpp"
#include "sharded_teacher.hpp"
#include "teacher_cache.hpp"

namespace bitstill {
namespace {

void set(NamedValues* settings, const std::string& key, const std::string& value) {
  for (auto& [name, held] : *settings) {
    if (name == key) held = value;
  }
}

}  // namespace

Job::Job(World& world, const SettingTable& table, const RunConfig& config, bool distill,
         KeptTeacher& teachers, Json study)
    : world_(world),
      settings_(table.values()),
      config_(config),
      distill_(distill),
      teachers_(teachers),
      study_(std::move(study)) {}

void Job::prepare() {
  Communicator& control = world_.control();
  hosts_ = world_.place().local_rank == 0 ? 1 : 0;
  control.all_reduce(&hosts_, 1, ElementType::i64);
  agree(control, [&] {
    check(config_);
    if (config_.data_folder.empty()) {
      throw Error(ExitCode::settings,
                  "data.folder is not given: name a folder made by bitstill shard");
    }
    if (distill_ && config_.teacher_file.empty() && config_.teacher_cache.empty()) {
      throw Error(ExitCode::settings,
                  "teacher.file is not given: name the teacher's .safetensors "
                  "file (bitstill train makes one), or teacher.cache (bitstill cache)");
    }
  });
  require_equal(control, settings_, ExitCode::settings);
  require_equal(control,
                {{"the build", concat(build_version(), " ", build_commit())},
                 {"the processor's instructions (ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA bound "
                  "them)",
                  instruction_set()}},
                ExitCode::environment);
  device_ = choose_device(world_, config_.run.device, config_.run.threads,
                          config_.exchange.order == ExchangeOrder::fixed, config_.run.tf32);
  if (device_.device.is_cuda() && config_.exchange.order == ExchangeOrder::fixed) {
    throw AgreedError(
        ExitCode::settings,
        "exchange.order = fixed adds on the CPU; give run.device = cpu, or order fast");
  }
  if (device_.device.is_cuda() && config_.exchange.codec != Codec::none) {
    throw AgreedError(ExitCode::settings,
                      "exchange.codec runs on the CPU; give run.device = cpu, or codec none");
  }
  if (device_.device.is_cuda() && config_.exchange.chunk_bytes == 0) {
    throw AgreedError(ExitCode::settings,
                      "exchange.chunk_bytes = 0 measures MPI, not NCCL; give bytes, for example "
                      "16777216");
  }
}

void Job::load_data() {
  dataset_ = open_dataset(world_, config_.data_folder, Holds::anything);
  agree(world_.control(), [&] {
    const DataIndex& index = dataset_->index();
    check(config_, index.content);
    settle_images(&config_, dataset_.get());
    if (index.content == Content::tokens) {
      vocabularies_ = vocabularies_of(config_.data_folder, index);
      fit_to_sentences(*vocabularies_, &config_.model);
      return;
    }
    config_.model.input = index.shape;
    config_.model.classes = static_cast<int64_t>(index.classes.size());
  });
  plan_ = make_run_plan(*dataset_, config_, world_.control());
}

void Job::load_teacher() {
  if (!distill_) return;
  if (config_.teacher_cache.empty()) {
    teacher_ = &teachers_.get(world_, config_, settings_, teacher_sha256_ + teacher_samples_,
                              *dataset_, device_.device);
    return;
  }
  std::unique_ptr<LogitCache> cache;
  agree(world_.control(), [&] {
    cache = open_cache_for(config_, *dataset_, plan_->lengths(), teacher_sha256_, teacher_samples_,
                           world_.place().world);
  });
  require_equal(world_.control(), {{"the index of teacher.cache", cache->digest()}},
                ExitCode::data);
  take_augmentation_of(cache->facts());
  teacher_sha256_ = cache->facts().teacher_sha256;
  teacher_samples_ = cache->facts().teacher_samples;
  teacher_bytes_ = cache->facts().teacher_bytes;
  cached_teacher_ = make_cached_teacher(std::move(cache), device_.device);
  teacher_ = cached_teacher_.get();
  if (!config_.dry_run) say(concat("teacher: ", layout_text(*teacher_)));
}

/// The pictures that its teacher saw, as if their seed had been given.
void Job::take_augmentation_of(const CacheFacts& facts) {
  const int64_t seed = facts.augmentation.seed;
  if (!facts.augments() || static_cast<uint64_t>(seed) == augmentation_seed(config_)) return;
  config_.augmentation.seed = seed;
  set(&settings_, "data.augment_seed", std::to_string(seed));
}

void Job::build_student(Watchdog& watchdog) {
  std::unique_ptr<Network> network;
  agree(world_.control(), [&] {
    NetworkSpec spec = config_.model;
    if (distill_ && spec.dropout.empty()) spec.dropout = {0};
    const std::string& init = config_.student_init;
    if (init == "random") {
      require_content(spec, "model", dataset_->index());
      if (!vocabularies_) {
        spec.normalization = normalization_without_file({"model", spec, &dataset_->index()});
      }
      network = make_network(spec);
      initialize(*network, static_cast<uint64_t>(config_.run.seed));
      return;
    }
    LoadedModel start = load_model_for(init, "model", spec, dataset_.get(), at::kCPU);
    spec.normalization = start.network->spec().normalization;
    network = make_network(spec);
    assign(*network, named_tensors(*start.network), init);
    evaluation_ = std::move(start.evaluation);
  });
  std::vector<int64_t> points;
  if (config_.quant.redistribute != Redistribute::off) {
    EvaluateOptions evaluate;
    evaluate.progress = [&](bool waits) {
      watchdog.progress(waits ? Phase::exchange : Phase::load, 0);
    };
    points = redistributed_points(*network, config_.quant, *dataset_, config_.train, evaluate,
                                  world_.control());
    watchdog.progress(Phase::load, 0);
  }
  agree(world_.control(), [&] {
    student_ =
        std::make_unique<Student>(std::move(network), config_.quant,
                                  static_cast<uint64_t>(config_.run.seed), device_.device, points);
  });
  if (vocabularies_) {
    student_->attach(vocabulary_tensors(*vocabularies_->source, *vocabularies_->target));
  }
  require_equal(world_.control(), student_->fingerprints(), ExitCode::environment);
}

/// What exchange.chunk_bytes = 0 and exchange.codec = auto came to, as if it had been given.
void Job::record_exchange() {
  set(&settings_, "exchange.chunk_bytes", std::to_string(config_.exchange.chunk_bytes));
  set(&settings_, "exchange.codec", word(config_.exchange.codec));
}

/// What they came to when the run was started: other chunks or codes, other last bits.
void Job::keep_exchange(const SettingValues& before) {
  const auto value_of = [&](const char* key, const std::string& otherwise) {
    const auto found = std::find_if(before.begin(), before.end(),
                                    [&](const auto& setting) { return setting.first == key; });
    return found == before.end() ? otherwise : found->second;
  };
  ExchangeOptions& exchange = config_.exchange;
  if (exchange.chunk_bytes == 0) {
    const std::string text = value_of("exchange.chunk_bytes", "0");
    std::from_chars(text.data(), text.data() + text.size(), exchange.chunk_bytes);
  }
  if (exchange.codec == Codec::automatic) {
    exchange.codec = from_word<Codec>(value_of("exchange.codec", "none"), "exchange.codec");
  }
  record_exchange();
}

RunStart Job::run_start() const {
  RunStart start;
  start.device = device_.device;
  start.resume_from = folder_.checkpoint;
  start.record = to_json(record());
  start.stop_requested = stop_requested;
  start.may_publish = [this] { folder_.lock.require_held(); };
  start.published = life_sign::note_saved;
  return start;
}

/// One path may name other bytes on another host.
void Job::compare_files() {
  agree(world_.control(), [&] {
    const std::string& teacher = config_.teacher_file;
    if (distill_ && !teacher.empty()) {
      if (!in_slices(world_, config_)) {
        teacher_sha256_ = model_sha256(teacher);
      } else if (world_.place().rank == 0) {
        verify_model_file(teacher);
      }
      teacher_samples_ = model_samples_sha256(teacher);
      teacher_bytes_ = static_cast<int64_t>(model_bytes(teacher));
    }
    if (config_.student_init != "random") {
      init_sha256_ = model_sha256(config_.student_init);
    }
  });
  require_equal(world_.control(),
                {{concat("the SHA-256 of ", config_.teacher_file), teacher_sha256_},
                 {concat("the SHA-256 of samples of ", config_.teacher_file), teacher_samples_},
                 {concat("the SHA-256 of ", config_.student_init), init_sha256_}},
                ExitCode::model);
}

/// How the run of the folder differs from what was asked for now; on rank 0.
void Job::compare_with_earlier() {
  const std::string& folder = config_.run.folder;
  CheckpointFacts kept = checkpoint_facts(folder_.checkpoint);
  Run run;
  try {
    run = read_run(folder);
  } catch (const Error& error) {
    if (kept.record.is_null()) throw;
    warn(concat("the run's log cannot be read: ", error.what()));
  }
  RunRecord before;
  if (kept.record.is_null()) {  // an earlier version's checkpoint; its log says less
    before.command = run.command;
    before.settings = run.settings;
    before.world = std::isnan(run.world) ? world_.place().world : std::llround(run.world);
  } else {
    before = run_record_from_json(kept.record, folder_.checkpoint);
  }
  keep_exchange(before.settings);
  RunConfig fresh;
  if (distill_) fresh.quant.method = QuantMethod::uniform;
  SettingTable defaults;
  add_settings(defaults, fresh);
  changes_ = differences(before, record(), defaults.values());
  require_may_continue(changes_, std::max(config_.train.micro_batch, config_.train.micro_tokens),
                       folder);
  kept.state.complete(plan_->epoch(0).steps());
  const bool within = kept.state.within() > 0;
  if (kept.state.epoch + (within ? 1 : 0) > config_.train.epochs) {
    throw Error(ExitCode::settings,
                concat("train.epochs = ", config_.train.epochs, ", but ", folder_.checkpoint,
                       " stands after epoch ", kept.state.epoch, within ? " and some steps" : "",
                       "; give as many or more"));
  }
  std::erase_if(changes_, [](const Difference& one) { return of_one_call(one.name); });
  for (const Difference& one : changes_) {
    say(concat(one.name, " was ", one.before, ", is ", one.now, " now"));
    if (one.matter == Matter::length) say(rate_curve());
  }
  const auto trains_on = [](const Difference& one) { return one.matter == Matter::length; };
  finished_ = run.finished && std::filesystem::exists(folder + "/student.safetensors") &&
              std::none_of(changes_.begin(), changes_.end(), trains_on);
}

bool Job::run() {
  prepare();
  watch_signals();
  Watchdog watchdog(world_, config_.run.timeout_s);
  watchdog.allow(Phase::load, config_.run.load_factor);
  watchdog.allow(Phase::save, config_.run.save_factor);
  watchdog.progress(Phase::load, 0);
  const bool writes = world_.place().rank == 0;
  if (!config_.dry_run) {
    folder_ = claim_run_folder(world_, config_.run.folder, config_.resume, config_.overwrite);
  }
  load_data();
  compare_files();
  load_teacher();
  agree(world_.control(), [&] {
    if (writes && !folder_.checkpoint.empty()) compare_with_earlier();
  });
  int64_t known[3] = {finished_ ? 1 : 0, config_.exchange.chunk_bytes,
                      static_cast<int64_t>(config_.exchange.codec)};
  world_.control().broadcast(known, 3, ElementType::i64, 0);
  if (known[0] != 0) {
    say(concat(config_.run.folder, " is finished; more train.epochs train on"));
    watchdog.stop();
    return true;
  }
  build_student(watchdog);
  config_.exchange.chunk_bytes = known[1];
  config_.exchange.codec = static_cast<Codec>(known[2]);
  settle_exchange(world_, 4 * student_->gradients().numel(), &config_.exchange);
  record_exchange();
  if (config_.dry_run) {
    agree(world_.control(), [&] { print_plan(); });
    if (config_.train.epochs > 0) measure_plan(watchdog);
    watchdog.stop();
    return true;
  }
  if (stop_requested_anywhere(world_.control())) {  // nothing was done that could be lost
    watchdog.stop();
    return false;
  }
  RunLog log;
  agree(world_.control(), [&] {
    if (writes) log = open_log();
  });
  Json about = describe_model("weights", student_->network().spec(), dataset_->index().classes);
  const Json evaluation = evaluation_json(dataset_->crop());
  if (!evaluation.is_null() || !evaluation_.is_null()) {
    about["evaluation"] = evaluation.is_null() ? evaluation_ : evaluation;
  }
  about["data"] = dataset_->index().fingerprint;
  about["seed"] = config_.run.seed;
  say(concat(world_.place().world, " ranks x ", device_.threads, " threads on ", device_.name, ", ",
             student_->network().parameter_count(), " parameters"));
  if (mixes(config_.augmentation.mix) && config_.train.micro_batch == 0) {
    say("data.mixup and data.cutmix mix within a micro-batch, here a rank's batch: other numbers "
        "of ranks see other pictures; train.micro_batch makes them equal");
  }
  const RunStart start = run_start();
  const RunResult result = run_training(world_, watchdog, *dataset_, *plan_, *student_, teacher_,
                                        config_, start, about, log);
  watchdog.stop();
  if (result.cut) {
    say(concat("stopped after ", config_.run.stop_steps,
               " steps, as run.stop_steps asks; --resume goes on from here"));
  } else if (!result.stopped) {
    print_result(result);
  }
  return !result.stopped;
}

}  // namespace bitstill
