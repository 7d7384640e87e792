#include "bitstill/infer/loaded_model.hpp"

#include <filesystem>

#include "bitstill/base/text.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

/// The network that a file says it holds: never larger than what it does hold.
std::unique_ptr<Network> described_network(const NetworkSpec& spec, const ModelFile& file,
                                           const std::string& path) {
  int64_t values = 0;
  for (const auto& [name, tensor] : network_tensors(file)) values += tensor.numel();
  try {
    return make_network(spec, values);
  } catch (const Error& error) {
    throw Error(ExitCode::model,
                concat(path, ": the network it describes does not fit: ", error.what()));
  }
}

}  // namespace

NamedTensors network_tensors(const ModelFile& file) {
  NamedTensors tensors = decoded_tensors(file);
  std::erase_if(tensors, [](const auto& named) {
    return named.first.starts_with("optimizer.") || named.first.starts_with("quantizer.");
  });
  return tensors;
}

LoadedModel load_model(const std::string& path, const std::optional<PlainFileFacts>& facts) {
  const ModelFile file = read_model_file(path);
  LoadedModel model;
  NetworkSpec spec;
  if (file.about.is_null()) {
    if (!facts) {
      throw Error(ExitCode::model,
                  concat(path,
                         " holds weights only and does not say of which network; bitstill export "
                         "--model.kind NETWORK --data.folder SHARDS makes a file that does"));
    }
    spec = facts->network;
    model.normalization = facts->normalization;
    model.classes = facts->classes;
  } else {
    const auto member = [&](const char* name) -> const Json& {
      if (!file.about.is_object() || !file.about.contains(name)) {
        throw Error(ExitCode::model, concat(path, ": its description lacks \"", name,
                                            "\"; write the file again with bitstill"));
      }
      return file.about.at(name);
    };
    spec = network_spec_from_json(member("network"), path, ExitCode::model);
    model.normalization = normalization_from_json(member("normalization"), path, ExitCode::model);
    for (const Json& name : member("classes")) {
      if (!name.is_string()) throw Error(ExitCode::model, concat(path, ": a class has no name"));
      model.classes.push_back(name.get<std::string>());
    }
    if (static_cast<int64_t>(model.normalization.mean.size()) != spec.input.channels ||
        static_cast<int64_t>(model.classes.size()) != spec.classes) {
      throw Error(ExitCode::model, concat(path,
                                          ": its network, normalization and class names do "
                                          "not fit together; write the file again"));
    }
  }
  model.network = file.about.is_null() ? make_network(spec) : described_network(spec, file, path);
  assign(*model.network, network_tensors(file), path);
  model.network->set_trainable(false);
  model.about = file.about;
  model.file_bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return model;
}

void require_fits(const LoadedModel& model, const std::string& path, const ImageShape& shape,
                  const std::vector<std::string>& classes) {
  const NetworkSpec& spec = model.network->spec();
  const auto size = [](const ImageShape& s) {
    return concat(s.channels, "x", s.height, "x", s.width);
  };
  if (!(spec.input == shape)) {
    throw Error(ExitCode::model,
                concat(path, " takes ", size(spec.input), " images, the shards hold ", size(shape),
                       "; give shards of the same size"));
  }
  if (model.classes != classes) {
    throw Error(ExitCode::model,
                concat(path, " knows ", model.classes.size(), " classes (",
                       list_names(model.classes, 4), "), the shards ", classes.size(), " (",
                       list_names(classes, 4), "); give shards of the same set"));
  }
}

Json describe_model(const std::string& kind, const NetworkSpec& network,
                    const Normalization& normalization, const std::vector<std::string>& classes) {
  return {{"format", 1},
          {"kind", kind},
          {"network", to_json(network)},
          {"normalization", to_json(normalization)},
          {"classes", classes}};
}

}  // namespace bitstill
