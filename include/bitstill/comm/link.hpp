// How fast the ranks add up, and which chunks suit that.
#pragma once

#include <cstdint>
#include <functional>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// A sum of n bytes over all ranks takes latency_s + n / bytes_per_s.
struct LinkSpeed {
  double latency_s = 0;
  double bytes_per_s = 0;
};

/// A steady clock.
double steady_seconds();

/// Measures for about 0.2 s, or two sums where those take longer. The answer is rank 0's, on every
/// rank. `now_s`: a clock, for tests. Collective: every rank of comm calls this, in the same order.
LinkSpeed measure_link(Communicator& comm, const std::function<double()>& now_s = steady_seconds);

/// Chunks for `bytes` of gradients: as large as leaves the last one, which nothing hides, 2 % of
/// all; but never so small that its latency is above 10 % of its transfer. At least 1024 bytes, a
/// multiple of 64.
int64_t chunk_bytes_for(const LinkSpeed& speed, int64_t bytes);

}  // namespace bitstill
