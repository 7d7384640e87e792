#include <algorithm>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "bitstill/teacher/layout_choice.hpp"
#include "gather_group.hpp"
#include "measure_sweep.hpp"

namespace bitstill {
namespace {

/// What a sweep takes with one pass more is what running takes; the rest is making ready.
std::vector<PieceCost> piece_costs(const Piecewise& network, const SweepSample& sample,
                                   Communicator& control) {
  const std::vector<double> one = piece_seconds(network, sample, 1, control);
  const std::vector<double> more = piece_seconds(network, sample, 1 + sample.passes, control);
  std::vector<PieceCost> costs;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double run_s = std::max(more[i] - one[i], 0.0);
    const double ready_s = std::max(one[i] - run_s / static_cast<double>(sample.passes), 0.0);
    const Piece& piece = network.pieces()[i];
    costs.push_back({piece.plain_bytes, piece.ready_bytes, ready_s, run_s});
  }
  return costs;
}

GroupLink group_link(World& world, const Piecewise& network, int64_t ranks, Overlap overlap,
                     const at::Device& device) {
  std::vector<int64_t> slices;
  for (const Piece& piece : network.pieces()) {
    slices.push_back(slice_bytes(piece.plain_bytes, ranks));
  }
  const std::unique_ptr<Channel> channel = gather_channel(world, ranks, overlap, device);
  return {ranks, gather_link(slices, ranks, *channel, world.control(), device)};
}

}  // namespace

TeacherLayout settled_layout(World& world, const Piecewise& network, const TeacherLayout& layout,
                             Overlap overlap, const SweepSample& sample) {
  if (layout.sharding != Sharding::automatic) return layout;
  const at::Device device = sample.device();
  const int64_t ranks = world.place().world, host = group_size(world, layout);
  const std::vector<PieceCost> pieces = piece_costs(network, sample, world.control());
  const GroupLink all = group_link(world, network, ranks, overlap, device);
  GroupLink within;
  if (device.is_cpu() && host > 1 && host < ranks) {
    within = group_link(world, network, host, overlap, device);
  }
  const std::vector<LayoutCost> costs =
      layout_costs(pieces, all, within, layout.memory_bytes(), layout.window);
  for (const LayoutCost& cost : costs) say(concat("the teacher ", to_text(cost)));
  TeacherLayout settled = layout;
  agree(world.control(), [&] {
    const LayoutCost& best = fastest(costs, layout.memory_bytes());
    settled.sharding = best.sharding;
    settled.group = best.group;
  });
  return settled;
}

}  // namespace bitstill
