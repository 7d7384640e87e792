#include "bitstill/train/run_records.hpp"

#include <sys/resource.h>

#include <algorithm>

#include "bitstill/train/loss.hpp"

namespace bitstill {

void Tally::add(const StepResult& result, int64_t step_samples) {
  const StepTotals& totals = result.totals;
  gradient_norm = std::max(gradient_norm, result.gradient_norm);
  ++steps;
  samples += step_samples;
  soft += totals.soft * static_cast<double>(step_samples);
  hard += totals.hard * static_cast<double>(step_samples);
  correct += totals.correct;
}

Json Tally::json(const DistillOptions& distill, bool has_teacher) const {
  const auto n = static_cast<double>(std::max<int64_t>(samples, 1));
  Json line = {{"loss", total_loss(soft / n, hard / n, distill, has_teacher)}};
  if (has_teacher) line["soft_loss"] = soft / n;
  line["hard_loss"] = hard / n;
  line["accuracy"] = 100 * correct / n;
  return line;
}

Json counts_json(const ClassificationCounts& counts, bool sentences) {
  if (counts.samples == 0) return {{"samples", 0}};  // no accuracy at all, which is not 0 %
  const auto [low, high] = wilson_interval(counts.correct, counts.samples);
  Json json = {{"samples", counts.samples},
               {"correct", counts.correct},
               {"accuracy", counts.accuracy()},
               {"low", low},
               {"high", high},
               {"loss", counts.mean_loss()}};
  if (sentences) json["perplexity"] = counts.perplexity();
  return json;
}

TrafficCounts traffic_since(const TrafficCounts& before) {
  TrafficCounts sent = traffic_counts();
  for (std::size_t kind = 0; kind < sent.size(); ++kind) {
    sent[kind].bytes -= before[kind].bytes;
    sent[kind].messages -= before[kind].messages;
  }
  return sent;
}

Json traffic_json(TrafficCounts* before, int64_t steps) {
  Json bytes;
  const TrafficCounts now = traffic_counts();
  for (std::size_t kind = 0; kind < now.size(); ++kind) {
    bytes[traffic_name(static_cast<Traffic>(kind))] =
        static_cast<double>(now[kind].bytes - (*before)[kind].bytes) / static_cast<double>(steps);
  }
  *before = now;
  return bytes;
}

double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1000;
}

}  // namespace bitstill
