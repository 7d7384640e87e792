// What the trainer writes into run.jsonl.
#pragma once

#include "bitstill/base/json.hpp"
#include "bitstill/comm/communicator.hpp"
#include "bitstill/metrics/accuracy.hpp"
#include "bitstill/train/options.hpp"
#include "bitstill/train/step.hpp"

namespace bitstill {

/// Means over some steps, weighted by samples.
struct Tally {
  int64_t steps = 0, samples = 0;
  double soft = 0, hard = 0, correct = 0;  // sums over samples
  double gradient_norm = 0;                // the greatest

  void add(const StepResult& result, int64_t step_samples);
  /// loss, soft_loss (with a teacher), hard_loss, accuracy.
  Json json(const DistillOptions& distill, bool has_teacher) const;
};

/// samples, correct, accuracy with its 95 % interval, loss; of sentences, whose samples are target
/// tokens, perplexity.
Json counts_json(const ClassificationCounts& counts, bool sentences);

/// Bytes a step that this rank sent since `before`, by kind; `before` becomes now.
Json traffic_json(TrafficCounts* before, int64_t steps);

/// What this process has sent since traffic_counts() was `before`.
TrafficCounts traffic_since(const TrafficCounts& before);

/// Greatest resident size of this process so far.
double peak_memory_mb();

}  // namespace bitstill
