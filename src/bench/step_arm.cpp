#include "step_arm.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdlib>

#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/data/sampler.hpp"
#include "bitstill/train/run_records.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

Json slices_json(const Teacher* teacher) {
  if (teacher == nullptr || !teacher->traits().slices) return nullptr;
  return to_json(*teacher->traits().slices);
}

/// The peak of the rank that takes most. Collective.
double most_memory_mb(World& world) {
  double most = peak_memory_mb();
  world.control().all_reduce(&most, 1, ElementType::f64, Reduction::max);
  return most;
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
  options.run.seed = kStepSeed;
  return options;
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

}  // namespace

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
  spec.classes = kStepClasses;
  spec.normalization = dataset.index().normalization;
  spec.dropout = {0};  // distilled students have none, and a teacher that is asked does not use it
  return spec;
}

std::unique_ptr<Network> initialized(const NetworkSpec& spec) {
  auto network = make_network(spec);
  initialize(*network, kStepSeed);
  return network;
}

QuantOptions quant_options(const BenchStepOptions& s, QuantMethod method) {
  QuantOptions quant;
  quant.method = method;
  quant.bits = s.bits;
  quant.bucket = s.bucket;
  quant.tensors = QuantTensors::all;  // as the peer
  return quant;
}

StepArm::StepArm(World& world, const BenchStepOptions& s, const at::Device& device,
                 QuantMethod trained, const Dataset& dataset, Teacher* teacher, Watchdog& watchdog)
    : method(trained),
      world_(world),
      settings_(s),
      device_(device),
      teacher_(teacher),
      options_(training_options(s, method, world.place().world)),
      layers_(student_layers(s, dataset)),
      student_(student_network(s, dataset, layers_, unit_seconds_), options_.quant, kStepSeed,
               device),
      plan_(dataset.size(Split::train), options_.train.global_batch, 0, world.place().world),
      parts_(world, watchdog, dataset, student_, teacher, settle(world, student_, &options_),
             device, [] { return StepWishes{}; }),
      decoder_(make_training_decoder(dataset.index(), options_.augmentation, kStepSeed, 1)),
      prefetcher_(dataset, Split::train, batch_plan(dataset), *decoder_, 4,
                  [teacher](Batch* batch) {
                    if (teacher != nullptr) teacher->read_ahead(batch);
                  }) {}

BatchPlan StepArm::batch_plan(const Dataset& dataset) {
  return [this, &dataset](int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    *epoch = n / plan_.steps();
    if (n % plan_.steps() == 0) order_ = epoch_order(dataset.size(Split::train), kStepSeed, *epoch);
    const int rank = world_.place().rank;
    const StepPlan step = plan_.step(n % plan_.steps());
    const MicroBatch& mine = step.micro_batches[static_cast<std::size_t>(step.first_of(rank))];
    rows->assign(order_.begin() + mine.first, order_.begin() + mine.first + mine.count);
    return true;
  };
}

std::vector<double> StepArm::run(int64_t steps) {
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

Json StepArm::result() {
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

StepProfile StepArm::profile() {
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

}  // namespace bitstill
