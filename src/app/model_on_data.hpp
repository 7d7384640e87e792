// What evaluate and predict share: a model file, shards that fit it, the split that is asked for.
#pragma once

#include <memory>
#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/infer/loaded_model.hpp"

namespace bitstill {

/// Error(settings) for anything but train, validation and test.
Split split_of(const std::string& name);

/// Error(data) when the split holds no images.
std::unique_ptr<Dataset> open_split(const std::string& folder, Split split);

/// Loads the file and moves it to the device. `network` is what a plain file cannot say of itself,
/// and the shards, where given, what else it lacks; a file that does not fit them is Error(model).
LoadedModel load_model_for(const std::string& path, const NetworkSpec& network,
                           const Dataset* shards, const at::Device& device);

}  // namespace bitstill
