#include "gather_group.hpp"

#include <string>
#include <vector>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/nccl.hpp"

namespace bitstill {

int64_t group_size(World& world, const TeacherLayout& layout) {
  const int64_t ranks = world.place().world;
  if (layout.group == 0) {
    int64_t own[] = {world.place().local_world, -world.place().local_world};
    world.control().all_reduce(own, 2, ElementType::i64, Reduction::max);
    return own[0] == -own[1] && ranks % own[0] == 0 ? own[0] : 0;
  }
  if (ranks % layout.group == 0) return layout.group;
  std::vector<std::string> divisors;
  for (int64_t size = 1; size <= ranks; ++size) {
    if (ranks % size == 0) divisors.push_back(std::to_string(size));
  }
  throw AgreedError(ExitCode::settings,
                    concat(layout.prefix, "group = ", layout.group, " does not divide the ", ranks,
                           " ranks; give one of ", list_names(divisors, 40)));
}

std::unique_ptr<Communicator> split_group(World& world, int64_t group, Traffic kind) {
  const int rank = world.place().rank;
  return world.control().split(static_cast<int>(rank / group), rank, kind);
}

std::unique_ptr<Channel> gather_channel(World& world, int64_t group, Overlap overlap,
                                        const c10::Device& device) {
  if (!device.is_cuda()) {
    return open_channel(world, split_group(world, group, Traffic::gathers), overlap);
  }
  if (group == world.place().world) {
    return make_nccl_channel(world, Traffic::gathers, device.index());
  }
  throw AgreedError(ExitCode::settings,
                    "teacher.sharding = hybrid runs on CPUs; give gather on GPUs");
}

}  // namespace bitstill
