// Set up on all ranks, compare, then hand over to the trainer.
#include "job.hpp"

#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/train/redistribute.hpp"
#include "model_on_data.hpp"

namespace bitstill {

Job::Job(World& world, const SettingTable& table, const RunConfig& config, bool distill, Json study)
    : world_(world),
      settings_(table.values()),
      config_(config),
      distill_(distill),
      study_(std::move(study)) {}

void Job::prepare() {
  Communicator& control = world_.control();
  agree(control, [&] {
    check(config_);
    if (config_.data_folder.empty()) {
      throw Error(ExitCode::settings,
                  "data.folder is not given: name a folder made by bitstill shard");
    }
    if (distill_ && config_.teacher_file.empty()) {
      throw Error(ExitCode::settings,
                  "teacher.file is not given: name the teacher's .safetensors "
                  "file (bitstill train makes one)");
    }
  });
  NamedValues items = settings_;
  items.emplace_back("the build", concat(build_version(), " ", build_commit()));
  require_equal(control, items, ExitCode::settings);
  device_ = choose_device(world_, config_.run.device, config_.run.threads,
                          config_.exchange.order == "fixed");
  if (device_.device.is_cuda() && config_.exchange.order == "fixed") {
    throw AgreedError(
        ExitCode::settings,
        "exchange.order = fixed adds on the CPU; give run.device = cpu, or order fast");
  }
}

void Job::load_data() {
  agree(world_.control(), [&] { dataset_ = std::make_unique<Dataset>(config_.data_folder); });
  require_equal(world_.control(), {{"the index of data.folder", dataset_->index().fingerprint}},
                ExitCode::data);
  config_.model.input = dataset_->index().shape;
  config_.model.classes = static_cast<int64_t>(dataset_->index().classes.size());
}

void Job::load_teacher() {
  if (!distill_) return;
  agree(world_.control(), [&] {
    LoadedModel model = load_model_for(config_.teacher_file, "teacher", config_.teacher,
                                       dataset_.get(), device_.device);
    teacher_ = make_teacher(std::move(model.network), config_.teacher_precision,
                            use_bf16(config_.train.precision, device_.device), *dataset_);
  });
  require_equal(world_.control(), {{"how the teacher runs", describe_teacher(*teacher_).dump()}},
                ExitCode::environment);
}

void Job::build_student() {
  std::unique_ptr<Network> network;
  agree(world_.control(), [&] {
    NetworkSpec spec = config_.model;
    if (distill_ && spec.dropout.empty()) spec.dropout = {0};
    const std::string& init = config_.student_init;
    if (init == "random") {
      spec.normalization = normalization_without_file({"model", spec, &dataset_->index()});
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
  if (config_.quant.redistribute != "off") {
    points = redistributed_points(*network, config_.quant, *dataset_, network->spec().normalization,
                                  config_.train.global_batch, EvaluateOptions{}, world_.control());
  }
  agree(world_.control(), [&] {
    student_ =
        std::make_unique<Student>(std::move(network), config_.quant,
                                  static_cast<uint64_t>(config_.run.seed), device_.device, points);
  });
  require_equal(world_.control(), student_->fingerprints(), ExitCode::environment);
}

TrainerOptions Job::trainer_options() const {
  TrainerOptions options;
  options.train = config_.train;
  options.distill = config_.distill;
  options.exchange = config_.exchange;
  options.augmentation = config_.augmentation;
  options.folder = config_.run.folder;
  options.seed = static_cast<uint64_t>(config_.run.seed);
  options.quant = config_.quant;
  options.log_steps = config_.run.log_steps;
  options.check_steps = config_.run.check_steps;
  options.prefetch = config_.prefetch;
  options.resume = config_.resume;
  options.device = device_.device;
  options.stop_requested = stop_requested;
  return options;
}

Json Job::start_line() const {
  Json settings;
  for (const auto& [name, value] : settings_) settings[name] = value;
  const Network& network = student_->network();
  Json line = {{"type", "start"}, {"time", utc_now()}, {"command", distill_ ? "distill" : "train"}};
  if (!study_.is_null()) line["study"] = study_;
  const Json facts = {
      {"settings", settings},
      {"versions", versions(world_)},
      {"world", world_.place().world},
      {"host", world_.place().host},
      {"threads", device_.threads},
      {"device", device_.name},
      {"precision", use_bf16(config_.train.precision, device_.device) ? "bf16" : "fp32"},
      {"network", to_json(network.spec())},
      {"normalization", to_json(network.spec().normalization)},
      {"parameters", network.parameter_count()},
      {"fp32_bytes", 4 * (network.parameter_count() + student_->running().numel())},
      {"formula_bits",
       formula_bits(config_.quant, student_->segments(), student_->running().numel())}};
  line.update(facts);
  if (teacher_) line["teacher"] = describe_teacher(*teacher_);
  return line;
}

void Job::print_plan() const {
  if (world_.place().rank != 0) return;
  const EpochPlan plan(dataset_->size(Split::train), config_.train.global_batch,
                       config_.train.micro_batch, world_.place().world);
  const auto elements = static_cast<double>(student_->masters().numel());
  std::vector<Range> ranges;
  for (const Segment& segment : student_->segments())
    ranges.push_back({segment.offset, segment.count});
  std::printf("%s", recipe_text(settings_).c_str());
  std::printf(
      "# plan: %lld steps an epoch, %zu micro-batches in the first, %zu gradient chunks\n",
      static_cast<long long>(plan.steps()), plan.step(0).micro_batches.size(),
      plan_chunks(student_->masters().numel(), ranges, config_.exchange.chunk_bytes).size());
  std::printf("# student: %lld parameters; masters, shadows and gradients %s a rank\n",
              static_cast<long long>(student_->network().parameter_count()),
              human_bytes(elements * 4 * (student_->quantizer() ? 3 : 2)).c_str());
}

void Job::print_result(const RunResult& result) const {
  if (world_.place().rank != 0) return;
  const auto [low, high] = wilson_interval(result.test.correct, result.test.samples);
  std::printf("%s/student.safetensors: test %.2f %% (95 %% interval %.2f to %.2f), %s, %.0f s\n",
              config_.run.folder.c_str(), result.test.accuracy(), low, high,
              human_bytes(static_cast<double>(std::filesystem::file_size(config_.run.folder +
                                                                         "/student.safetensors")))
                  .c_str(),
              timer_.seconds());
}

RunLog Job::open_log() const {
  const std::string path = config_.run.folder + "/run.jsonl";
  if (!config_.resume && std::filesystem::exists(path)) {
    warn(concat(config_.run.folder,
                " holds an earlier run; it is replaced (--resume continues one)"));
  }
  replace_file(config_.run.folder + "/recipe.cfg", recipe_text(settings_));
  RunLog log(path, config_.resume);
  log.write(start_line());
  return log;
}

bool Job::run() {
  prepare();
  watch_signals();
  Watchdog watchdog(world_, config_.run.timeout_s);
  watchdog.allow(Phase::load, 10);
  watchdog.allow(Phase::save, 10);
  watchdog.progress(Phase::load, 0);
  const bool writes = world_.place().rank == 0 && !config_.dry_run;
  agree(world_.control(), [&] {
    if (writes) make_folder(config_.run.folder + "/checkpoints");
  });
  load_data();
  load_teacher();
  build_student();
  if (config_.dry_run) {
    print_plan();
    watchdog.stop();
    return true;
  }
  RunLog log;
  agree(world_.control(), [&] {
    if (writes) log = open_log();
  });
  Json about = describe_model("weights", student_->network().spec(), dataset_->index().classes);
  if (!evaluation_.is_null()) about["evaluation"] = evaluation_;
  about["data"] = dataset_->index().fingerprint;
  about["seed"] = config_.run.seed;
  say(concat(world_.place().world, " ranks x ", device_.threads, " threads on ", device_.name, ", ",
             student_->network().parameter_count(), " parameters"));
  const RunResult result = run_training(world_, watchdog, *dataset_, *student_, teacher_.get(),
                                        trainer_options(), about, log);
  watchdog.stop();
  if (!result.stopped) print_result(result);
  return !result.stopped;
}

}  // namespace bitstill
