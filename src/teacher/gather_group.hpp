// The ranks that share a teacher, and how they reach each other.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "bitstill/comm/world.hpp"
#include "bitstill/teacher/options.hpp"

namespace bitstill {

/// How many ranks a group of layout.group has; 0: a host's, and where hosts hold different numbers
/// 0. AgreedError(settings) where the ranks cannot be divided so. Collective.
int64_t group_size(World& world, const TeacherLayout& layout);

/// This rank's communicator among `group` ranks that follow each other in number. Collective.
std::unique_ptr<Communicator> split_group(World& world, int64_t group, Traffic kind);

/// Gathers of device memory travel by NCCL, of the host's by a lane. AgreedError(settings) where
/// none can. Collective.
std::unique_ptr<Channel> gather_channel(World& world, int64_t group, Overlap overlap,
                                        const c10::Device& device);

}  // namespace bitstill
