// In which order samples are visited: a function of (seed, epoch) alone.
#pragma once

#include <cstdint>
#include <vector>

namespace bitstill {

/// A permutation of 0..count-1 for this epoch (Fisher-Yates over a counter-based stream), the same
/// on every rank and for every world size.
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch);

}  // namespace bitstill
