#include "bitstill/bench/sentences.hpp"

#include <cstdio>
#include <optional>

#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/data/vocabulary.hpp"
#include "bitstill/train/assemble.hpp"
#include "bitstill/train/run_plan.hpp"
#include "bitstill/train/run_records.hpp"
#include "rows.hpp"
#include "sentence_data.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSeed = 1;

std::unique_ptr<Network> network_of(const BenchSentencesOptions& s, const Dataset& dataset,
                                    int64_t layers, int64_t size, double dropout) {
  const Vocabulary vocabulary = read_vocabulary(s.folder, dataset.index(), 1);
  NetworkSpec spec = lstm_spec(layers, size, s.pieces > 0 ? s.pieces : vocabulary.size(),
                               {vocabulary.begin(), vocabulary.end()});
  spec.dropout = {dropout};
  auto network = make_network(spec);
  initialize(*network, kSeed);
  return network;
}

/// The peers': Adam, clipped to 5; distilled as the recipes do.
TrainingOptions training_options(const BenchSentencesOptions& s, QuantMethod method) {
  TrainingOptions options;
  options.train.optimizer = Optimizer::adam;
  options.train.rate = 1e-3;
  options.train.weight_decay = 0;
  options.train.clip_norm = 5;
  options.train.micro_tokens = options.train.global_tokens = s.tokens;
  options.train.precision = s.precision;
  options.distill.temperature = 1;
  options.distill.slice_rows = s.slice_rows;
  options.quant.method = method;
  options.quant.bits = s.bits;
  options.quant.bucket = s.bucket;
  options.run.seed = kSeed;
  return options;
}

double megabytes(const at::Tensor& tensor) {
  return 1e-6 * static_cast<double>(tensor.nbytes());
}

double megabytes_of(const Network& network) {
  double sum = 0;
  for (const Parameter* parameter : network.parameters()) sum += megabytes(parameter->value);
  return sum;
}

/// One trainer, without logs, validation and files.
class Arm {
 public:
  Arm(World& world, const BenchSentencesOptions& s, QuantMethod trained, const Dataset& dataset,
      Teacher* teacher, Watchdog& watchdog)
      : method(trained),
        world_(world),
        dataset_(dataset),
        options_(training_options(s, trained)),
        student_(network_of(s, dataset, s.layers, s.size, s.dropout), options_.quant, kSeed,
                 at::kCPU),
        plan_(make_run_plan(dataset, options_, world.control())),
        parts_(world, watchdog, dataset, student_, teacher, options_, at::kCPU,
               [] { return StepWishes{}; }),
        decoder_(make_training_decoder(dataset.index(), options_.augmentation, kSeed, 1)) {}

  /// Target tokens of so many steps.
  int64_t run(int64_t steps) {
    int64_t terms = 0;
    for (; steps > 0; --steps) {
      if (!epoch_ || next_ == epoch_->steps()) begin_epoch();
      const StepPlan plan = epoch_->step(next_++);
      const StepResult result = parts_.step.run(step_++, plan, *prefetcher_, options_.train.rate,
                                                trained_by(options_.quant));
      if (!result.updated)
        throw Error(ExitCode::numbers, "the timed step's gradient is not finite");
      terms += plan.terms;
    }
    return terms;
  }

  void time(int64_t steps) {
    const double before = cpu_seconds();
    const int64_t terms = run(steps);
    rates_.push_back(static_cast<double>(terms) / (cpu_seconds() - before));
    timed_ += steps;
  }
  void end_warm_up() { parts_.step.seconds() = {}; }

  Json result(bool bf16) {
    const PhaseSeconds& seconds = parts_.step.seconds();
    const double ms = 1000 / static_cast<double>(timed_);
    return {{"method", method},
            {"precision", bf16 ? "bf16" : "fp32"},
            {"parameters", student_.network().parameter_count()},
            {"tokens_per_cpu_s", median(rates_)},
            {"round_tokens_per_cpu_s", rates_},
            {"padding", plan_.padding()},
            {"model_mb", model_mb()},
            {"ms",
             {{"data", ms * seconds.data},
              {"teacher", ms * seconds.teacher},
              {"quantize", ms * seconds.quantize},
              {"forward", ms * seconds.forward},
              {"backward", ms * seconds.backward},
              {"exchange", ms * seconds.exchange},
              {"update", ms * seconds.update}}}};
  }

  const QuantMethod method;

 private:
  void begin_epoch() {
    epoch_ = plan_.epoch(epochs_);
    next_ = 0;
    prefetcher_.reset();  // it reads by the decoder and the plan before
    prefetcher_ = std::make_unique<Prefetcher>(
        dataset_, Split::train, rank_batches(*epoch_, world_.place().rank, false, epochs_++),
        *decoder_, static_cast<int>(options_.prefetch));
  }

  double model_mb() {
    double sum = megabytes(student_.masters()) + megabytes(student_.gradients());
    if (student_.quantizer() != nullptr) sum += megabytes(student_.shadows());
    for (const auto& [name, tensor] : parts_.optimizer.state()) sum += megabytes(tensor);
    return sum;
  }

  World& world_;
  const Dataset& dataset_;
  TrainingOptions options_;
  Student student_;
  RunPlan plan_;
  TrainingParts parts_;
  std::unique_ptr<RowDecoder> decoder_;
  std::optional<EpochPlan> epoch_;
  std::unique_ptr<Prefetcher> prefetcher_;
  int64_t epochs_ = 0, next_ = 0, step_ = 0, timed_ = 0;
  std::vector<double> rates_;
};

void check(const World& world, const BenchSentencesOptions& s) {
  if (s.warmup < 0 || s.steps < 1 || s.rounds < 1 || s.teacher_layers < 0) {
    throw Error(ExitCode::settings,
                "steps and rounds are 1 or more, warmup and teacher.layers 0 or more");
  }
  if (world.place().world > 1) {
    throw Error(ExitCode::settings, "bench sentences times one rank: run it without mpirun");
  }
}

}  // namespace

void bench_sentences(World& world, const BenchSentencesOptions& s) {
  check(world, s);
  const bool bf16 = use_bf16(s.precision, at::kCPU);
  Watchdog watchdog(world, 0);
  const Dataset dataset(s.folder);
  std::unique_ptr<Teacher> teacher;
  double teacher_mb = 0;
  if (s.teacher_layers > 0) {
    auto network = network_of(s, dataset, s.teacher_layers, s.teacher_size, 0);
    teacher_mb = megabytes_of(*network);
    teacher = make_replicated_teacher(std::move(network), bf16);
  }
  std::vector<std::unique_ptr<Arm>> arms;
  for (const std::string& name : split_list(s.methods)) {
    arms.push_back(std::make_unique<Arm>(world, s, from_word<QuantMethod>(name, "methods"), dataset,
                                         teacher.get(), watchdog));
  }
  for (auto& arm : arms) {
    arm->run(s.warmup);
    arm->end_warm_up();
  }
  for (int64_t round = 0; round < s.rounds; ++round) {
    for (auto& arm : arms) arm->time(s.steps);
  }
  // In 10^6 bytes, before the state is copied for the results.
  const double memory_mb = 1.024 * peak_memory_mb();
  for (auto& arm : arms) {
    Json line = arm->result(bf16);
    line["memory_mb"] = memory_mb;
    line["teacher_mb"] = teacher_mb;
    std::printf("%s\n", line.dump().c_str());
  }
  watchdog.stop();
}

}  // namespace bitstill
