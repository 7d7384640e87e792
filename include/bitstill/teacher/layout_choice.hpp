// Which layout of a teacher is fastest within a rank's memory. Torch-free, and without clocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/teacher/options.hpp"

namespace bitstill {

/// What a rank sends of a piece that `world` ranks share: a multiple of 64 bytes.
int64_t slice_bytes(int64_t plain_bytes, int64_t world);

/// A piece (model/piecewise.hpp), and the seconds of a sweep on the slowest rank.
struct PieceCost {
  int64_t plain_bytes = 0;
  int64_t ready_bytes = 0;  // 0: it runs as it lies
  double make_ready_s = 0;  // where it has been gathered
  double run_s = 0;
};

/// Ranks that may share a teacher.
struct GroupLink {
  int64_t ranks = 1;
  GatherLink link;
};

/// What a layout takes of each rank.
struct LayoutCost {
  Sharding sharding = Sharding::replicated;
  int64_t group = 1;
  int64_t bytes = 0;   // slices, window and the largest piece made ready, or all that is ready
  int64_t window = 0;  // as wide as the memory allows, if need be
  double seconds = 0;  // of a sweep, with what it waits for pieces
  bool fits = true;    // else `bytes` is the least that it can be
};
/// "gather: 41.2 ms a sweep, 12.3 MB of a rank".
std::string to_text(const LayoutCost& cost);

/// Of replicated, hybrid (where host.ranks are more than one and fewer than all) and gather.
/// `memory`: bytes that a rank has for the teacher; 0: no bound. `window`: bytes; 0: chosen.
/// Nothing is known yet of what comes between two sweeps, which hides gathers, too.
std::vector<LayoutCost> layout_costs(std::span<const PieceCost> pieces, const GroupLink& all,
                                     const GroupLink& host, int64_t memory, int64_t window);

/// The fastest that fits. Error(settings) names what each needs where none does.
const LayoutCost& fastest(std::span<const LayoutCost> costs, int64_t memory);

}  // namespace bitstill
