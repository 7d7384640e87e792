// A teacher's file becomes slices on all ranks.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// By config.layout, from config.teacher_file; no rank reads all of it. Errors are every rank's.
/// Collective: every rank of world calls this.
std::unique_ptr<Teacher> make_sharded_teacher(World& world, const RunConfig& config,
                                              const Dataset& dataset, const at::Device& device);

/// How a teacher lies in memory, with the bytes that it takes of a rank.
std::string layout_text(const Teacher& teacher);

}  // namespace bitstill
