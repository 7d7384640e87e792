// A teacher's file becomes a teacher: whole on every rank, or slices on all of them.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// Whether ranks share the teacher: one alone keeps it whole.
bool in_slices(const World& world, const RunConfig& config);

/// By config.layout, from config.teacher_file. Errors are every rank's.
/// Collective: every rank of world calls this.
std::unique_ptr<Teacher> load_teacher(World& world, const RunConfig& config, const Dataset& dataset,
                                      const at::Device& device);

/// The same of a network in memory, which every rank holds until then; config.layout says slices.
/// Collective: every rank of world calls this.
std::unique_ptr<Teacher> share_network(World& world, std::unique_ptr<Network> network,
                                       const RunConfig& config, const Dataset& dataset,
                                       const at::Device& device);

/// How a teacher lies in memory, with the bytes that it takes of a rank.
std::string layout_text(const Teacher& teacher);

}  // namespace bitstill
