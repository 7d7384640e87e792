#include "bitstill/scale/formula.hpp"

#include <algorithm>
#include <cmath>

namespace bitstill {
namespace {

/// The backward pass of the last micro-batch and the chunks that leave under it: how much later
/// than the pass the last sum is there.
double exposed_exchange(const StepProfile& profile, int64_t world, const NetworkLink& link,
                        SumAlgorithm algorithm) {
  const std::vector<Range> chunks =
      plan_chunks(profile.elements, profile.segments(), profile.chunk_bytes);
  const double backward_s = profile.backward_s();
  double free_s = 0;  // when the lane has sent what was ready before
  for (const Range& chunk : chunks) {
    // It is ready when the first unit with a gradient in it has ended, and the chunks before are.
    double ready_s = 0, passed_s = 0;
    for (auto unit = profile.units.rbegin(); unit != profile.units.rend(); ++unit) {
      passed_s += unit->backward_s;
      for (const Range& range : unit->gradients) {
        if (range.offset < chunk.end() && range.end() > chunk.offset) ready_s = passed_s;
      }
    }
    int64_t floats = chunk.count;
    if (chunk.offset == 0) {  // the last one, with the sums
      floats += profile.sums;
      ready_s = backward_s;
    }
    if (!profile.overlap) ready_s = backward_s;  // each waits for its sum, wherever it does
    free_s = std::max(free_s, ready_s) + sum_seconds(algorithm, world, 4 * floats, link);
  }
  return std::max(0.0, free_s - backward_s);
}

}  // namespace

double sum_seconds(SumAlgorithm algorithm, int64_t world, int64_t bytes, const NetworkLink& link) {
  if (world == 1) return 0;
  const auto ranks = static_cast<double>(world), size = static_cast<double>(bytes);
  const double transfer = 2 * (ranks - 1) / ranks * size / link.bytes_per_s;
  const double rounds = algorithm == SumAlgorithm::ring ? 2 * (ranks - 1) : 2 * std::log2(ranks);
  return rounds * link.latency_s + transfer;
}

double gather_seconds(int64_t group, int64_t slice_bytes, const NetworkLink& link) {
  const auto others = static_cast<double>(group - 1);
  return others * (link.latency_s + static_cast<double>(slice_bytes) / link.bytes_per_s);
}

StepTimes step_times(const StepProfile& profile, int64_t world, const NetworkLink& link,
                     SumAlgorithm algorithm) {
  StepTimes times;
  const auto passes = static_cast<double>(profile.micro_batches);
  times.compute_s = profile.begin_s + profile.update_s +
                    passes * (profile.pass_s + profile.forward_s() + profile.backward_s());
  times.exposed_exchange_s = exposed_exchange(profile, world, link, algorithm);
  if (profile.group > 1 && !profile.overlap) {
    for (const GatherPiece& piece : profile.slices.pieces) {
      times.exposed_gather_s += gather_seconds(profile.group, piece.slice_bytes, link);
    }
  } else if (profile.group > 1) {
    const double between_s = times.compute_s + times.exposed_exchange_s;
    const auto rounds = static_cast<double>(profile.group - 1);
    const GatherCost cost = gather_cost(profile.slices.pieces, profile.slices.window,
                                        {rounds * link.latency_s, link.bytes_per_s}, between_s);
    times.exposed_gather_s = cost.exposed_s;
  }
  for (const GatherPiece& piece : profile.slices.pieces) times.compute_s += piece.seconds;
  return times;
}

}  // namespace bitstill
