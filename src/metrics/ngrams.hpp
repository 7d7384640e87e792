// Runs of n words or characters that two texts share.
#pragma once

#include <cstdint>
#include <span>

namespace bitstill {

struct SharedRuns {
  int64_t hypothesis = 0, reference = 0;  // runs in each
  int64_t matched = 0;                    // each run as often as in the text that has it less often
};
/// Of texts as numbers, one a word or character; n >= 1.
SharedRuns shared_runs(std::span<const uint32_t> hypothesis, std::span<const uint32_t> reference,
                       std::size_t n);

}  // namespace bitstill
