// One step of training, from a batch to updated masters.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitstill/comm/watchdog.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/data/prefetch.hpp"
#include "bitstill/model/input.hpp"
#include "bitstill/teacher/teacher.hpp"
#include "bitstill/train/epoch_plan.hpp"
#include "bitstill/train/exchange.hpp"
#include "bitstill/train/learned_optimizer.hpp"
#include "bitstill/train/optimizer.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/student.hpp"

namespace bitstill {

/// Seconds this rank spent in each phase, added up.
struct PhaseSeconds {
  double data = 0, teacher = 0, quantize = 0, forward = 0, backward = 0, exchange = 0, update = 0;
};

/// What a step works with; all outlive it. `teacher` may be null (cross-entropy).
struct StepParts {
  Student& student;
  Teacher* teacher;
  GradientExchange& exchange;
  MasterOptimizer& optimizer;
  LearnedOptimizer& learned_optimizer;
  Watchdog& watchdog;
  Communicator& control;
  Communicator* statistics;  // synchronized batch norm; null: local statistics
};

struct StepSettings {
  DistillOptions distill;
  double label_smoothing = 0;
  double batch_norm_momentum = 0.1;
  bool bf16 = false;
  bool channels_last = true;
  uint64_t seed = 0;
  at::Device device = at::kCPU;
  ImageShape shape;
  int64_t sweep_batches = 0;           // teacher.sweep_batches
  std::function<StepWishes()> wishes;  // of this rank, asked at each step's end
};

struct StepResult {
  StepTotals totals;
  double gradient_norm = 0;  // of masters and learned values
  bool updated = false;      // false: not finite, skipped alike on all ranks
};

class TrainingStep {
 public:
  TrainingStep(const StepParts& parts, const StepSettings& settings);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;  // the teacher calls it back
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// trained: what this step updates; without weights and others only points travel.
  /// A rank whose batch fails sends zeros and its flag, and then all ranks throw the same error.
  /// Collective: every rank calls this, in the same order.
  StepResult run(int64_t step, const StepPlan& plan, Prefetcher& batches, double rate,
                 const Trained& trained = {});

  /// After step `last` of a run the teacher is not asked again.
  void ends_at(int64_t last) { last_step_ = last; }

  PhaseSeconds& seconds() { return seconds_; }

 private:
  /// A micro-batch on its way: what it holds, and what the teacher says of it.
  struct Pass {
    Batch batch;
    at::Tensor x;
    Labels labels;
    std::unique_ptr<Tokens> tokens;  // of sentences, in place of x and labels
    Question question;
    std::optional<Answer> answer;
  };
  std::exception_ptr sweeps(int64_t step, const StepPlan& plan, Prefetcher& batches);
  std::vector<Pass> read(Prefetcher& batches, int64_t count, std::exception_ptr* failure);
  void prepare(Pass* pass) const;
  void ask(std::span<Pass> passes, bool more);
  void train(int64_t step, const StepPlan& plan, int64_t number, const Pass& pass, bool last);
  at::Tensor train_images(const StepPlan& plan, const Pass& pass, const ForwardMode& mode,
                          bool last);
  at::Tensor train_sentences(const StepPlan& plan, const Pass& pass, const ForwardMode& mode,
                             bool last);
  void update(double rate, const Trained& trained, StepResult* result);
  ForwardMode mode(int64_t step, int64_t number) const;

  StepParts parts_;
  StepSettings settings_;
  bool sentences_, tied_head_ = false;
  int64_t step_ = 0, last_step_ = -1;
  PhaseSeconds seconds_;
};

/// Whether `precision` means bf16 here: automatic does where the processor
/// multiplies bf16 itself (avx512_bf16, amx) or the device is a GPU.
bool use_bf16(TrainPrecision precision, const at::Device& device);

}  // namespace bitstill
