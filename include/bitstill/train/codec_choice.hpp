// exchange.codec = auto: what the links between the ranks gain by codes.
#pragma once

#include <cstdint>
#include <functional>

#include "bitstill/comm/communicator.hpp"
#include "bitstill/comm/link.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {

/// What the sum of a byte of gradients over all ranks takes.
struct SumSeconds {
  double exact = 0, coded = 0;
};

/// Sums both ways in turn, in chunks of each way's size (at most all `gradient_bytes`), for 0.2 s,
/// or three rounds where those take longer: medians. The answer is rank 0's, on every rank.
/// `now_s`: a clock, for tests. Collective: every rank of comm calls this, in the same order.
SumSeconds measure_sums(Communicator& comm, int64_t chunk_bytes, int64_t gradient_bytes,
                        const std::function<double()>& now_s = steady_seconds);

/// qsgd where codes win by a quarter: a backward pass that hides the one hides the other too, so
/// less is not worth the noise.
Codec chosen_codec(const SumSeconds& seconds);

}  // namespace bitstill
