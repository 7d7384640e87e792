#include "model_on_data.hpp"

#include <filesystem>

#include "bitstill/base/text.hpp"

namespace bitstill {

std::unique_ptr<Dataset> open_split(const std::string& folder, Split split) {
  auto shards = std::make_unique<Dataset>(folder);
  if (shards->size(split) == 0) {
    throw Error(ExitCode::data, concat(folder, " has no ", word(split), " images"));
  }
  return shards;
}

std::string model_path(const std::string& path, const std::string& file) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  std::string held = (std::filesystem::path(path) / file).string();
  if (std::filesystem::exists(held, ignored)) return held;
  throw Error(ExitCode::model,
              concat(path, ": holds no ", file,
                     "; name a model file, or the folder of a run that has ended"));
}

LoadedModel load_model_for(const std::string& path, const NetworkSpec& network,
                           const Dataset* shards, const at::Device& device) {
  std::optional<PlainFileFacts> facts;
  if (shards != nullptr) {
    const DataIndex& index = shards->index();
    facts = PlainFileFacts{network, index.normalization, index.classes};
    facts->network.input = index.shape;
    facts->network.classes = static_cast<int64_t>(index.classes.size());
  }
  LoadedModel model = load_model(path, facts);
  if (facts) require_fits(model, path, facts->network.input, facts->classes);
  model.network->to(device);
  return model;
}

std::string cannot_freeze(const std::string& setting, const char* precision) {
  return concat(setting, " = ", precision,
                " needs the CPU with oneDNN and instructions for it, and a network of convolutions "
                "and fully connected layers whose norms can be folded; leave it out");
}

std::unique_ptr<Teacher> make_teacher(std::unique_ptr<Network> network, TeacherPrecision precision,
                                      bool bf16, const Dataset& shards) {
  const InferencePrecision wanted = precision == TeacherPrecision::automatic
                                        ? fastest_precision(bf16)
                                        : inference_precision(precision);
  auto frozen = freeze(*network, wanted, shards, shards.index().normalization);
  if (frozen) return make_frozen_teacher(std::move(frozen));
  if (wanted == InferencePrecision::int8) {
    throw Error(ExitCode::settings, cannot_freeze("teacher.precision", word(precision)));
  }
  return make_replicated_teacher(std::move(network));
}

}  // namespace bitstill
