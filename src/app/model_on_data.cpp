#include "model_on_data.hpp"

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/infer/freeze.hpp"

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

LoadedModel load_model_for(const std::string& path, const std::string& section,
                           const NetworkSpec& settings, const Dataset* shards,
                           const at::Device& device) {
  const DataIndex* const index = shards == nullptr ? nullptr : &shards->index();
  LoadedModel model = load_model(path, {section, settings, index});
  if (index != nullptr) require_fits(model, path, index->shape, index->classes);
  model.network->to(device);
  return model;
}

Error cannot_freeze(const std::string& setting, const std::string& precision,
                    const std::string& obstacle) {
  return {ExitCode::settings, concat(setting, " = ", precision,
                                     " cannot be for this network: ", obstacle, "; leave it out")};
}

std::unique_ptr<Teacher> make_teacher(std::unique_ptr<Network> network,
                                      const std::string& precision, bool bf16,
                                      const Dataset& shards) {
  const bool automatic = precision == "auto";
  const InferencePrecision wanted =
      automatic ? fastest_precision(bf16) : inference_precision(precision, "teacher.precision");
  std::string obstacle;
  if (auto frozen = freeze(*network, wanted, shards, &obstacle)) {
    return make_frozen_teacher(std::move(frozen), network->spec().normalization);
  }
  if (wanted == InferencePrecision::int8) {
    throw cannot_freeze("teacher.precision", precision, obstacle);
  }
  if (!automatic) bf16 = wanted == InferencePrecision::bf16;
  const bool on_cpu = network->parameters().front()->value.is_cpu();
  auto teacher = make_replicated_teacher(std::move(network), bf16);
  if (on_cpu) {
    warn(concat("the teacher is not compiled (", obstacle, "): slower, it runs layer by layer in ",
                precision_name(teacher->traits().precision)));
  }
  return teacher;
}

Json describe_teacher(const Teacher& teacher) {
  const TeacherTraits& traits = teacher.traits();
  return {{"precision", precision_name(traits.precision)},
          {"compiled", traits.compiled},
          {"normalization", to_json(traits.normalization)}};
}

}  // namespace bitstill
