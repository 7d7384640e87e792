// A model file becomes a network that predicts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/data/image_shape.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// The network holds exactly the file's weights, packed ones decoded.
struct LoadedModel {
  std::unique_ptr<Network> network;
  std::unique_ptr<FrozenNetwork> frozen;  // answers in its place, where there is one
  Normalization normalization;
  std::vector<std::string> classes;
  Json about;  // the file's own description; null for a plain PyTorch file
  int64_t file_bytes = 0;
};

/// What a plain PyTorch file cannot say of itself: the recipe's network, the shards' normalization.
struct PlainFileFacts {
  NetworkSpec network;
  Normalization normalization;
  std::vector<std::string> classes;
};

/// Error(model) when the file is not there or wrong, does not describe itself and `facts` is empty,
/// or its tensors do not fit its network.
LoadedModel load_model(const std::string& path, const std::optional<PlainFileFacts>& facts = {});

/// The file's tensors that belong to its network: without the states of optimizer and quantizer.
NamedTensors network_tensors(const ModelFile& file);

/// Error(model) naming both sides when the model's input shape or class names are not the shards'.
void require_fits(const LoadedModel& model, const std::string& path, const ImageShape& shape,
                  const std::vector<std::string>& classes);

/// Members that every self-describing file carries: format, kind, network, normalization, classes.
Json describe_model(const std::string& kind, const NetworkSpec& network,
                    const Normalization& normalization, const std::vector<std::string>& classes);

}  // namespace bitstill
