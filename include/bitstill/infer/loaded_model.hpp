// A model file becomes a network that predicts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/data/dataset.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/store/model_file.hpp"
#include "bitstill/store/tensor_file.hpp"

namespace bitstill {

/// The network holds exactly the file's weights, packed ones decoded.
struct LoadedModel {
  std::unique_ptr<Network> network;
  std::vector<std::string> classes;  // of images
  Json about;                        // the file's own description; null for a plain PyTorch file
  Json evaluation;                   // its member "evaluation", also of a plain file; null without
  int64_t file_bytes = 0;
  NamedTensors attached;  // the file's vocabularies as bytes (infer/model_vocabulary.hpp)
};

/// What others say of a file. Its own word comes first, and what is said here must not contradict
/// it: Error(settings) naming both.
struct FileFacts {
  std::string section = "model";      // of the settings: model.kind, model.mean, ...
  NetworkSpec settings;               // by which a plain PyTorch file gets its network
  const DataIndex* shards = nullptr;  // where neither says: input, classes, normalization
};

/// Of a network that no file describes: the settings', else the shards'. Error(settings) when it is
/// not for as many channels.
Normalization normalization_without_file(const FileFacts& facts);

/// Error(model) when the file is not there or wrong, does not describe itself and `facts` has no
/// shards, or its tensors do not fit its network.
LoadedModel load_model(const std::string& path, const FileFacts& facts = {});

/// All of it but the values: its network is a skeleton (model/network.hpp) that the file's tensors
/// fit. Error(model) as load_model's.
LoadedModel load_skeleton(const TensorFile& file, const FileFacts& facts = {});

/// The file's tensors that belong to its network: without the states of optimizer and quantizer.
NamedTensors network_tensors(const ModelFile& file);

/// Error(model) naming both sides when the model's input shape or class names, or of sentences its
/// vocabularies, are not the shards'.
void require_fits(const LoadedModel& model, const std::string& path, const DataIndex& shards);

/// How the model's file says that images become its input in evaluation ("evaluation": {"resize":
/// shorter side, "crop": side of the square cut from its middle}), as Dataset::prepare takes it;
/// crop none where rows are to be taken as they are. Rows without a size of their own are scaled
/// until they cover the input, unless the file says otherwise. Error(model) for what cannot be.
CropOptions evaluation_crop(const LoadedModel& model, const std::string& path,
                            const DataIndex& shards);
/// The same for image files that lie about; crop none: as fit_image does.
CropOptions stated_crop(const LoadedModel& model, const std::string& path);
/// The member "evaluation" that says so; null for crop none.
Json evaluation_json(const CropOptions& crop);

/// Members that every self-describing file carries: format, kind, network, and of images
/// normalization and classes.
Json describe_model(const std::string& kind, const NetworkSpec& network,
                    const std::vector<std::string>& classes);

}  // namespace bitstill
