#include "bitstill/bench/step.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/run_records.hpp"
#include "emulated.hpp"
#include "random_cache.hpp"
#include "rows.hpp"
#include "step_profile.hpp"
#include "temporary_folder.hpp"
#include "timed_units.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSeed = 1, kClasses = 10, kStepsAnEpoch = 8;
constexpr double kTimeout_s = 600;

/// A folder of shards with random images, this rank's own, so that reading is part of the step.
class RandomShards {
 public:
  RandomShards(int64_t rows, int64_t side) {
    const ImageShape shape{3, side, side};
    ShardWriter writer({folder_.path(), shape, kClasses, {rows, 0, 0}, 0});
    RandomStream stream(kSeed, StreamPurpose::initialization);
    std::vector<uint8_t> pixels(static_cast<std::size_t>(shape.pixels()));
    for (int64_t row = 0; row < rows; ++row) {
      std::generate(pixels.begin(), pixels.end(),
                    [&] { return static_cast<uint8_t>(stream.next()); });
      writer.add(Split::train, pixels.data(), row % kClasses);
    }
    ShardIndex description;
    description.summary.name = "random";
    description.summary.split_rule = "random images, all in train";
    for (int64_t label = 0; label < kClasses; ++label) {
      description.summary.classes.push_back(std::to_string(label));
    }
    description.source = description.licence = "random numbers";
    writer.finish(description);
  }
  const std::string& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

Json slices_json(const Teacher* teacher) {
  if (teacher == nullptr || !teacher->traits().slices) return nullptr;
  return to_json(*teacher->traits().slices);
}

/// For a profile: a teacher in slices whose pieces' times and last window will be known.
void require_measured(const Teacher& teacher, const BenchStepOptions& s) {
  if (!teacher.traits().slices) return;
  if (teacher.traits().slices->measured.empty()) {
    throw Error(ExitCode::settings,
                "profile: a teacher in slices is measured piece by piece where its gathers "
                "overlap; give --teacher.overlap auto");
  }
  if (s.layout.window == 0 && s.warmup < kSweepsToWindow) {
    throw Error(ExitCode::settings,
                concat("profile: a teacher's window grows until ", kSweepsToWindow,
                       " sweeps are over; give --warmup ", kSweepsToWindow, " or more"));
  }
}

/// The peak of the rank that takes most. Collective.
double most_memory_mb(World& world) {
  double most = peak_memory_mb();
  world.control().all_reduce(&most, 1, ElementType::f64, Reduction::max);
  return most;
}

/// `name`: a kind, or KIND-DEPTH-WIDTH_FACTOR.
NetworkSpec spec_of(const std::string& name, const Dataset& dataset) {
  NetworkSpec spec;
  std::string words = name;
  std::replace(words.begin(), words.end(), '-', ',');
  const std::vector<std::string> parts = split_list(words);
  spec.kind = parts.empty() ? name : parts[0];
  if (parts.size() == 3) {
    spec.depth = std::strtoll(parts[1].c_str(), nullptr, 10);
    spec.width_factor = std::strtod(parts[2].c_str(), nullptr);
  }
  spec.input = dataset.index().shape;
  spec.classes = kClasses;
  spec.normalization = dataset.index().normalization;
  spec.dropout = {0};  // distilled students have none, and a teacher that is asked does not use it
  return spec;
}

QuantOptions quant_options(const BenchStepOptions& s, QuantMethod method) {
  QuantOptions quant;
  quant.method = method;
  quant.bits = s.bits;
  quant.bucket = s.bucket;
  quant.tensors = QuantTensors::all;  // as the peer
  return quant;
}

TrainingOptions training_options(const BenchStepOptions& s, QuantMethod method, int world) {
  TrainingOptions options;
  options.quant = quant_options(s, method);
  options.train.rate = 1e-3;
  options.train.global_batch = s.batch * world;
  options.train.precision = s.precision;
  options.exchange.overlap = s.overlap;
  options.exchange.chunk_bytes = s.chunk_bytes;
  options.exchange.codec = s.codec;
  options.run.seed = kSeed;
  return options;
}

std::unique_ptr<Network> initialized(const NetworkSpec& spec) {
  auto network = make_network(spec);
  initialize(*network, kSeed);
  return network;
}

std::vector<EmulatedLayer> student_layers(const BenchStepOptions& s, const Dataset& dataset) {
  if (s.emulate == 0) return {};
  return emulated_layers(*initialized(spec_of(s.student, dataset)), kForwardShare * s.emulate,
                         s.emulate);
}

std::unique_ptr<Network> student_network(const BenchStepOptions& s, const Dataset& dataset,
                                         const std::vector<EmulatedLayer>& layers,
                                         UnitSeconds& seconds) {
  auto network = initialized(spec_of(s.student, dataset));
  if (!layers.empty()) network = emulate(std::move(network), layers);
  return s.profile.empty() ? std::move(network) : timed(std::move(network), seconds);
}

const TrainingOptions& settle(World& world, Student& student, TrainingOptions* options) {
  settle_exchange(world, 4 * student.gradients().numel(), &options->exchange);
  return *options;
}

std::unique_ptr<Network> teacher_network(const BenchStepOptions& s, const Dataset& dataset) {
  auto network = initialized(spec_of(s.teacher, dataset));
  if (s.emulate == 0) return network;
  const auto layers = emulated_layers(*network, kForwardShare * s.emulate, 0);
  return emulate(std::move(network), layers);
}

/// One trainer: the parts of src/train's Run, without logs, validation and files.
class Arm {
 public:
  Arm(World& world, const BenchStepOptions& s, const at::Device& device, QuantMethod method,
      const Dataset& dataset, Teacher* teacher, Watchdog& watchdog);

  /// Steps in milliseconds.
  std::vector<double> run(int64_t steps);
  Json result();  // of all rounds; collective
  void begin_profile() { unit_seconds_.restart(student_.network().units().size()); }
  /// Of all rounds, on this rank.
  StepProfile profile();

  const QuantMethod method;
  PhaseSeconds before;  // at the end of the warm-up
  std::vector<double> step_ms, round_ms;
  double cpu_s = 0, busy_s = 0;
  GatherSeconds gather;
  TrafficCounts traffic{};  // of this rank in the timed steps

  TrainingStep& step() { return parts_.step; }
  GradientExchange& exchange() { return parts_.exchange; }
  GatherSeconds take_gather_seconds() {
    return teacher_ != nullptr ? teacher_->take_gather_seconds() : GatherSeconds{};
  }

 private:
  BatchPlan batch_plan(const Dataset& dataset);

  World& world_;
  const BenchStepOptions& settings_;
  const at::Device device_;
  Teacher* teacher_;
  TrainingOptions options_;
  std::vector<EmulatedLayer> layers_;  // of the student; empty where it computes
  UnitSeconds unit_seconds_;           // where a profile is asked for
  Student student_;
  EpochPlan plan_;  // of each epoch, but for the order
  TrainingParts parts_;
  std::vector<int64_t> order_;  // of the epoch that the prefetch thread is in
  std::unique_ptr<RowDecoder> decoder_;
  Prefetcher prefetcher_;
  int64_t next_ = 0;
};

Arm::Arm(World& world, const BenchStepOptions& s, const at::Device& device, QuantMethod trained,
         const Dataset& dataset, Teacher* teacher, Watchdog& watchdog)
    : method(trained),
      world_(world),
      settings_(s),
      device_(device),
      teacher_(teacher),
      options_(training_options(s, method, world.place().world)),
      layers_(student_layers(s, dataset)),
      student_(student_network(s, dataset, layers_, unit_seconds_), options_.quant, kSeed, device),
      plan_(dataset.size(Split::train), options_.train.global_batch, 0, world.place().world),
      parts_(world, watchdog, dataset, student_, teacher, settle(world, student_, &options_),
             device, [] { return StepWishes{}; }),
      decoder_(make_training_decoder(dataset.index(), options_.augmentation, kSeed, 1)),
      prefetcher_(dataset, Split::train, batch_plan(dataset), *decoder_, 4,
                  [teacher](Batch* batch) {
                    if (teacher != nullptr) teacher->read_ahead(batch);
                  }) {}

BatchPlan Arm::batch_plan(const Dataset& dataset) {
  return [this, &dataset](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    *epoch = n / plan_.steps();
    if (n % plan_.steps() == 0) order_ = epoch_order(dataset.size(Split::train), kSeed, *epoch);
    const int rank = world_.place().rank;
    const StepPlan step = plan_.step(n % plan_.steps());
    const MicroBatch& mine = step.micro_batches[static_cast<std::size_t>(step.first_of(rank))];
    rows->assign(order_.begin() + mine.first, order_.begin() + mine.first + mine.count);
    return true;
  };
}

std::vector<double> Arm::run(int64_t steps) {
  std::vector<double> ms;
  Timer timer;
  for (int64_t i = 0; i < steps; ++i, ++next_) {
    const StepPlan plan = plan_.step(next_ % plan_.steps());
    timer.lap();
    parts_.step.run(next_, plan, prefetcher_, options_.train.rate, trained_by(options_.quant));
    if (device_.is_cuda()) {  // which is still at it
      c10::impl::VirtualGuardImpl(device_.type()).synchronizeDevice(device_.index());
    }
    ms.push_back(1000 * timer.lap());
  }
  return ms;
}

Json Arm::result() {
  const int world = world_.place().world;
  std::vector<double> worst = round_ms;  // the slowest rank's
  worst.push_back(median(step_ms));
  world_.control().all_reduce(worst.data(), static_cast<int64_t>(worst.size()), ElementType::f64,
                              Reduction::max);
  double cpu = cpu_s;
  world_.control().all_reduce(&cpu, 1, ElementType::f64);
  const double middle = worst.back();
  worst.pop_back();
  const PhaseSeconds& now = parts_.step.seconds();
  const auto count = static_cast<double>(step_ms.size());
  const auto ms = [&](double PhaseSeconds::*phase) {
    return 1000 * (now.*phase - before.*phase) / count;
  };
  const auto images = static_cast<double>(settings_.batch * world);
  Json sent;  // by this rank, a step
  for (int kind = 0; kind < kTrafficKinds; ++kind) {
    const TrafficCount& total = traffic[static_cast<std::size_t>(kind)];
    sent[traffic_name(static_cast<Traffic>(kind))] = {
        {"bytes", static_cast<double>(total.bytes) / count},
        {"messages", static_cast<double>(total.messages) / count}};
  }
  const double exchange_ms = ms(&PhaseSeconds::exchange), busy_ms = 1000 * busy_s / count;
  Json line = {
      {"method", method},
      {"student", settings_.student},
      {"batch", settings_.batch},
      {"world", world},
      {"threads", settings_.threads},
      {"device", device_.str()},
      {"overlap", settings_.overlap},
      {"teacher_overlap", settings_.gathers},
      {"chunk_bytes", options_.exchange.chunk_bytes},
      {"codec", options_.exchange.codec},
      {"precision", use_bf16(settings_.precision, device_) ? "bf16" : "fp32"},
      {"teacher_precision",
       teacher_ != nullptr ? precision_name(teacher_->traits().precision) : "none"},
      {"step_ms_median", middle},
      {"step_ms_min", *std::min_element(step_ms.begin(), step_ms.end())},
      {"images_per_s", 1000 * images / middle},
      {"cpu_s_per_image", cpu / (images * count)},
      {"ms",
       {{"data", ms(&PhaseSeconds::data)},
        {"teacher", ms(&PhaseSeconds::teacher)},
        {"quantize", ms(&PhaseSeconds::quantize)},
        {"forward", ms(&PhaseSeconds::forward)},
        {"backward", ms(&PhaseSeconds::backward)},
        {"exchange", exchange_ms},
        {"update", ms(&PhaseSeconds::update)},
        {"exchange_busy", busy_ms},
        {"gather", 1000 * gather.exposed / count},
        {"gather_busy", 1000 * gather.busy / count}}},
      {"sent", sent},
      {"teacher_slices", slices_json(teacher_)},
      {"memory_mb", most_memory_mb(world_)},
      {"sum_bytes", 4 * parts_.exchange.sums()},
      {"learned_values", student_.quantizer() ? student_.quantizer()->learned().size() : 0},
      {"round_ms", worst}};
  if (settings_.emulate > 0) {
    // What of the exchange is no wait after the pass makes the pass longer than its sleeps.
    const double exposed_ms =
        exchange_ms + std::max(0.0, ms(&PhaseSeconds::backward) - settings_.emulate);
    const double others_ms = kForwardShare * settings_.emulate;
    line["emulated"] = {{"backward_ms", settings_.emulate},
                        {"forward_ms", others_ms},
                        {"teacher_ms", teacher_ != nullptr ? others_ms : 0},
                        {"exposed_ms", exposed_ms},
                        {"hidden", busy_ms > 0 ? 1 - exposed_ms / busy_ms : 1}};
    for (const EmulatedLayer& layer : layers_) line["emulated"]["layers"].push_back(to_json(layer));
  }
  return line;
}

StepProfile Arm::profile() {
  StepProfile profile = profile_of(student_, parts_.exchange, options_.exchange, teacher_, 1);
  set_seconds({static_cast<int64_t>(step_ms.size()), before, parts_.step.seconds(), gather.exposed,
               unit_seconds_},
              &profile);
  std::vector<double> sorted = step_ms;
  std::sort(sorted.begin(), sorted.end());
  profile.made_by = {{"program", build_version()},
                     {"processor", cpu_model()},
                     {"world", world_.place().world},
                     {"threads", settings_.threads},
                     {"student", settings_.student},
                     {"teacher", teacher_ != nullptr ? settings_.teacher : "none"},
                     {"batch", settings_.batch},
                     {"emulate_ms", settings_.emulate},
                     {"step_ms_median", median(step_ms)},
                     {"step_ms_range", {sorted.front(), sorted.back()}}};
  return profile;
}

void measure(World& world, const BenchStepOptions& s, std::vector<std::unique_ptr<Arm>>& arms) {
  for (auto& arm : arms) {
    arm->run(s.warmup);
    arm->before = arm->step().seconds();
    if (!s.profile.empty()) arm->begin_profile();
    arm->exchange().take_busy_seconds();
    arm->take_gather_seconds();
  }
  for (int64_t round = 0; round < s.rounds; ++round) {
    for (auto& arm : arms) {
      world.control().barrier();
      const double cpu = cpu_seconds();
      const TrafficCounts before = traffic_counts();
      const std::vector<double> ms = arm->run(s.steps);
      const TrafficCounts sent = traffic_since(before);
      for (std::size_t kind = 0; kind < kTrafficKinds; ++kind) {
        arm->traffic[kind].bytes += sent[kind].bytes;
        arm->traffic[kind].messages += sent[kind].messages;
      }
      arm->cpu_s += cpu_seconds() - cpu;
      arm->busy_s += arm->exchange().take_busy_seconds();
      const GatherSeconds gathers = arm->take_gather_seconds();
      arm->gather.busy += gathers.busy;
      arm->gather.exposed += gathers.exposed;
      arm->round_ms.push_back(median(ms));
      arm->step_ms.insert(arm->step_ms.end(), ms.begin(), ms.end());
    }
  }
}

}  // namespace

bool has_bf16() {
  return use_bf16(TrainPrecision::automatic, at::kCPU);
}

void bench_step(World& world, const BenchStepOptions& s, const at::Device& device,
                const TeacherMaker& make_teacher) {
  Watchdog watchdog(world, kTimeout_s);
  std::unique_ptr<RandomShards> shards;
  std::unique_ptr<Dataset> dataset;
  std::unique_ptr<Network> network;
  std::unique_ptr<Teacher> cached;
  agree(world.control(), [&] {
    if (s.batch < 1 || s.size < 1 || s.steps < 1 || s.rounds < 1 || s.warmup < 0 ||
        !(s.emulate >= 0)) {
      throw Error(ExitCode::settings,
                  "batch, size, steps and rounds are 1 or more, warmup and emulate 0 or more");
    }
    ExchangeOptions exchange;
    exchange.chunk_bytes = s.chunk_bytes;
    check(exchange);
    if (!s.profile.empty() && (device.is_cuda() || s.codec != Codec::none)) {
      throw Error(ExitCode::settings, "profile: of steps on the CPU, without a codec");
    }
    if (!s.profile.empty() && s.overlap == Overlap::off && world.place().world > 1) {
      throw Error(ExitCode::settings,
                  "profile: without overlap a unit's pass has its sums in it; give --overlap auto");
    }
    if (device.is_cuda() && s.codec != Codec::none) {
      throw Error(ExitCode::settings, "codecs run on the CPU: give --device cpu, or --codec none");
    }
    shards = std::make_unique<RandomShards>(kStepsAnEpoch * s.batch * world.place().world, s.size);
    dataset = std::make_unique<Dataset>(shards->path());
    if (!s.teacher_file.empty()) return;
    if (s.teacher != "none" && !in_emulated_slices(world, s))
      network = teacher_network(s, *dataset);
    if (network) network->to(device);
    if (s.cached) cached = random_cached_teacher(*dataset, shards->path() + "/logits", device);
  });
  std::unique_ptr<Teacher> teacher;
  if (network || !s.teacher_file.empty()) {
    teacher = make_teacher(std::move(network), *dataset);
  } else if (s.teacher != "none" && in_emulated_slices(world, s)) {
    teacher = emulated_slices(world, s, initialized(spec_of(s.teacher, *dataset)));
  }
  std::vector<Teacher*> teachers = {teacher.get()};
  if (s.cached) teachers.push_back(cached.get());
  std::vector<std::unique_ptr<Arm>> arms;
  std::vector<QuantMethod> methods;
  agree(world.control(), [&] {
    if (!s.profile.empty() && teacher) require_measured(*teacher, s);
    for (const std::string& name : split_list(s.methods)) {
      methods.push_back(from_word<QuantMethod>(name, "methods"));
      check(quant_options(s, methods.back()));
    }
  });
  for (const QuantMethod method : methods) {
    for (Teacher* const one : teachers) {
      arms.push_back(std::make_unique<Arm>(world, s, device, method, *dataset, one, watchdog));
    }
  }
  measure(world, s, arms);
  for (const auto& arm : arms) {
    const Json line = arm->result();
    if (world.place().rank == 0) std::printf("%s\n", line.dump().c_str());
  }
  agree(world.control(), [&] {
    if (s.profile.empty() || world.place().rank != 0) return;
    replace_file(s.profile, to_json(arms.front()->profile()).dump(1) + "\n");
  });
  watchdog.stop();
}

}  // namespace bitstill
