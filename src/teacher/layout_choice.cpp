#include "bitstill/teacher/layout_choice.hpp"

#include <algorithm>
#include <cstdio>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kAlignment = 64;

std::string bytes_text(int64_t bytes) {
  return human_bytes(static_cast<double>(bytes));
}

LayoutCost whole(std::span<const PieceCost> pieces, int64_t memory) {
  LayoutCost cost;
  for (const PieceCost& piece : pieces) {
    cost.bytes += piece.ready_bytes > 0 ? piece.ready_bytes : piece.plain_bytes;
    cost.seconds += piece.run_s;
  }
  cost.fits = memory == 0 || cost.bytes <= memory;
  return cost;
}

LayoutCost in_slices(std::span<const PieceCost> pieces, Sharding sharding, const GroupLink& group,
                     int64_t memory, int64_t window) {
  std::vector<GatherPiece> gathers;
  int64_t mine = 0, ready = 0;
  for (const PieceCost& piece : pieces) {
    const int64_t slice = slice_bytes(piece.plain_bytes, group.ranks);
    gathers.push_back({slice, slice * group.ranks, piece.make_ready_s + piece.run_s});
    mine += slice;
    ready = std::max(ready, piece.ready_bytes);
  }
  const int64_t least = least_window(gathers);
  LayoutCost cost{sharding, group.ranks, 0, window, 0, true};
  if (cost.window == 0) {
    cost.window = choose_window(gathers, group.link, 0);
    if (memory > 0)
      cost.window = std::clamp(memory - mine - ready, least, std::max(least, cost.window));
  }
  cost.window = std::max(cost.window, least);
  cost.bytes = mine + cost.window + ready;
  cost.fits = memory == 0 || cost.bytes <= memory;
  const GatherCost sweep = gather_cost(gathers, cost.window, group.link, 0);
  cost.seconds = sweep.compute_s + sweep.exposed_s;
  return cost;
}

}  // namespace

int64_t slice_bytes(int64_t plain_bytes, int64_t world) {
  const int64_t least = (plain_bytes + world - 1) / world;
  return (least + kAlignment - 1) / kAlignment * kAlignment;
}

std::string to_text(const LayoutCost& cost) {
  char ms[32];
  std::snprintf(ms, sizeof ms, "%.3g", 1e3 * cost.seconds);
  return concat(word(cost.sharding),
                cost.sharding == Sharding::hybrid ? concat(" in groups of ", cost.group) : "", ": ",
                ms, " ms a sweep, ", bytes_text(cost.bytes), " of a rank",
                cost.fits ? "" : ", which does not fit");
}

std::vector<LayoutCost> layout_costs(std::span<const PieceCost> pieces, const GroupLink& all,
                                     const GroupLink& host, int64_t memory, int64_t window) {
  std::vector<LayoutCost> costs = {whole(pieces, memory)};
  if (host.ranks > 1 && host.ranks < all.ranks) {
    costs.push_back(in_slices(pieces, Sharding::hybrid, host, memory, window));
  }
  costs.push_back(in_slices(pieces, Sharding::gather, all, memory, window));
  return costs;
}

const LayoutCost& fastest(std::span<const LayoutCost> costs, int64_t memory) {
  const LayoutCost* best = nullptr;
  std::vector<std::string> needs;
  for (const LayoutCost& cost : costs) {
    needs.push_back(concat(word(cost.sharding), " ", cost.bytes));
    if (cost.fits && (best == nullptr || cost.seconds < best->seconds)) best = &cost;
  }
  if (best != nullptr) return *best;
  throw Error(ExitCode::settings, concat("teacher.memory_mb = ", memory / 1000000,
                                         ": no layout of the teacher fits; bytes that each needs: ",
                                         list_names(needs, 4)));
}

}  // namespace bitstill
