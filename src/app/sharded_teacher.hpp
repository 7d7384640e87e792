// A model's file becomes a teacher, or what is measured: whole on every rank, or in slices.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/evaluate.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/predictor.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// Whether ranks share the teacher: one alone keeps it whole.
bool in_slices(const World& world, const RunConfig& config);

/// By config.layout, from config.teacher_file. Errors are every rank's.
/// Collective: every rank of world calls this.
std::unique_ptr<Teacher> load_teacher(World& world, const RunConfig& config, const Dataset& dataset,
                                      const at::Device& device);

/// Error(settings) where the layout is to be chosen, which load_teacher alone does.
void require_given(const TeacherLayout& layout);

/// The same of a network in memory, which every rank holds until then; config.layout says slices.
/// Collective: every rank of world calls this.
std::unique_ptr<Teacher> share_network(World& world, std::unique_ptr<Network> network,
                                       const RunConfig& config, const Dataset& dataset,
                                       const at::Device& device);

/// A model file in slices, and what it says of itself: all of `model` but its network.
struct SharedModel {
  std::unique_ptr<Teacher> teacher;
  LoadedModel model;
};
/// To be measured, in `precision` or not at all. Errors are every rank's.
/// Collective: every rank of world calls this.
SharedModel load_shared_model(World& world, const std::string& path, const FileFacts& facts,
                              ModelPrecision precision, const TeacherLayout& layout,
                              const Dataset& dataset, const EvaluateOptions& options);
/// Of a teacher in slices: collective.
std::unique_ptr<Predictor> make_predictor(std::unique_ptr<Teacher> teacher);

/// How a teacher lies in memory, with the bytes that it takes of a rank.
std::string layout_text(const Teacher& teacher);

}  // namespace bitstill
