// What commands share: a model file, shards that fit it, the split that is asked for, a teacher.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/freeze.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// Error(data) when the split holds no images.
std::unique_ptr<Dataset> open_split(const std::string& folder, Split split);

/// The model file that a path stands for: itself, or of a run's folder what it shipped, or its
/// `file`. Error(model) for a folder without one.
std::string model_path(const std::string& path, const std::string& file = "student.safetensors");

/// Loads the file and moves it to the device. `network` is what a plain file cannot say of itself,
/// and the shards, where given, what else it lacks; a file that does not fit them is Error(model).
LoadedModel load_model_for(const std::string& path, const NetworkSpec& network,
                           const Dataset* shards, const at::Device& device);

/// What to say where a network cannot be compiled (infer/freeze.hpp).
std::string cannot_freeze(const std::string& setting, const char* precision);

/// A teacher on every rank, compiled for inference where it can be. `precision`: automatic (the
/// fastest of fp32 and, by `bf16`, bf16), fp32, bf16, int8; Error(settings) where int8 cannot be.
std::unique_ptr<Teacher> make_teacher(std::unique_ptr<Network> network, TeacherPrecision precision,
                                      bool bf16, const Dataset& shards);

}  // namespace bitstill
