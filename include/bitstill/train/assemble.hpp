// The parts of a run's steps, put together the same way for the trainer, the bench and tests.
#pragma once

#include <functional>
#include <memory>

#include "bitstill/train/average.hpp"
#include "bitstill/train/schedule.hpp"
#include "bitstill/train/step.hpp"

namespace bitstill {

/// What `quant` ever trains in a run; under alternation an epoch trains a part of it.
Trained trained_in_run(const QuantOptions& quant);

/// exchange.chunk_bytes = 0 and exchange.codec = auto become what suits the links between the
/// ranks: measured, and the same on all ranks (comm/link.hpp, train/codec_choice.hpp). One rank
/// alone sends nothing: the default. Collective: every rank of world calls this, in the same order.
void settle_exchange(World& world, int64_t gradient_bytes, ExchangeOptions* options);

/// What steps need beside the student, the teacher and the data, which outlive it.
struct TrainingParts {
  /// wishes: what this rank asks of all, at each step's end; goes with the step's flags.
  /// Collective: every rank of world calls this, in the same order.
  TrainingParts(World& world, Watchdog& watchdog, const Dataset& dataset, Student& student,
                Teacher* teacher, const TrainingOptions& options, const at::Device& device,
                std::function<StepWishes()> wishes);
  TrainingParts(const TrainingParts&) = delete;
  TrainingParts& operator=(const TrainingParts&) = delete;

  Schedule schedule;
  MasterOptimizer optimizer;
  LearnedOptimizer learned_optimizer;
  WeightAverage average;
  std::unique_ptr<Communicator> statistics;  // synchronized batch norm; else null
  GradientExchange exchange;
  TrainingStep step;
};

}  // namespace bitstill
