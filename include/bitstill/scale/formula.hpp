// What a step takes by a formula, to hold simulations and measurements against:
//   T = begin + teacher + passes + max(backward, chunks that are ready before its end)
//       + the last chunk + waiting for pieces + update
#pragma once

#include <cstdint>

#include "bitstill/base/words.hpp"
#include "bitstill/scale/profile.hpp"

namespace bitstill {

/// Between any two ranks; each sends and receives at once, and none is in another's way.
struct NetworkLink {
  double latency_s = 0;    // of a message
  double bytes_per_s = 0;  // in each direction
};

/// How a sum over all ranks is made: by a ring, or halved and doubled (Rabenseifner), both of
/// Thakur et al. (IJHPCA 2005); or as Open MPI chooses, for which there is no formula.
enum class SumAlgorithm { ring, halving, open_mpi };
template <>
struct WordsOf<SumAlgorithm> {
  using enum SumAlgorithm;
  static constexpr Word<SumAlgorithm> kTable[] = {
      {ring, "ring"}, {halving, "halving"}, {open_mpi, "open_mpi"}};
};

/// Of `bytes` over `world` ranks. ring: 2 (n - 1) (l + b / (n w)); halving: 2 log2(n) l +
/// 2 (n - 1) / n b / w, for powers of two. open_mpi counts as halving.
double sum_seconds(SumAlgorithm algorithm, int64_t world, int64_t bytes, const NetworkLink& link);
/// Of `slice_bytes` from each of `group` ranks, by a ring of neighbours: (n - 1) (l + b / w).
double gather_seconds(int64_t group, int64_t slice_bytes, const NetworkLink& link);

struct StepTimes {
  double compute_s = 0;           // all of it, without any wait
  double exposed_exchange_s = 0;  // waiting for sums
  double exposed_gather_s = 0;    // waiting for pieces
  double total_s() const { return compute_s + exposed_exchange_s + exposed_gather_s; }
  double efficiency() const { return compute_s / total_s(); }
};

/// Of a step among many, in the fast order. The gathers and the sums do not slow each other.
StepTimes step_times(const StepProfile& profile, int64_t world, const NetworkLink& link,
                     SumAlgorithm algorithm);

}  // namespace bitstill
