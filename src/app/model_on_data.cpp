#include "model_on_data.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {

Split split_of(const std::string& name) {
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    if (name == split_name(split)) return split;
  }
  throw Error(ExitCode::settings,
              concat("data.split = ", name, ": give train, validation or test"));
}

std::unique_ptr<Dataset> open_split(const std::string& folder, Split split) {
  auto shards = std::make_unique<Dataset>(folder);
  if (shards->size(split) == 0) {
    throw Error(ExitCode::data, concat(folder, " has no ", split_name(split), " images"));
  }
  return shards;
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

}  // namespace bitstill
