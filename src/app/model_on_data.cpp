#include "model_on_data.hpp"

#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/checkpoint_folder.hpp"

namespace bitstill {

std::unique_ptr<Dataset> open_dataset(World& world, const std::string& folder, Holds holds) {
  Communicator& control = world.control();
  const Place& place = world.place();
  IndexFiles files;
  agree(control, [&] {
    if (place.rank == 0) files = read_index_files(folder);
  });
  files.index = broadcast_text(control, files.index, 0);
  files.row_sums = broadcast_text(control, files.row_sums, 0);
  std::unique_ptr<Dataset> shards;
  agree(control, [&] {
    shards = std::make_unique<Dataset>(folder, files);
    if (holds == Holds::images && shards->index().content == Content::tokens) {
      throw Error(ExitCode::settings,
                  concat(folder,
                         ": holds pairs of sentences, which train, distill, cache, evaluate "
                         "and inspect take; give a data.folder of images here"));
    }
    shards->check_shards(place.local_rank, place.local_world);
  });
  return shards;
}

std::unique_ptr<Dataset> open_split(World& world, const std::string& folder, Split split,
                                    Holds holds) {
  auto shards = open_dataset(world, folder, holds);
  if (shards->size(split) > 0) return shards;
  const bool tokens = shards->index().content == Content::tokens;
  throw AgreedError(ExitCode::data,
                    concat(folder, " has no ", word(split), tokens ? " sentences" : " images"));
}

VocabularyPair vocabularies_of(const std::string& folder, const DataIndex& index) {
  VocabularyPair pair;
  pair.source = std::make_shared<const Vocabulary>(read_vocabulary(folder, index, 0));
  pair.target = index.vocabularies.size() == 1
                    ? pair.source
                    : std::make_shared<const Vocabulary>(read_vocabulary(folder, index, 1));
  return pair;
}

void fit_to_sentences(const VocabularyPair& vocabularies, NetworkSpec* spec) {
  spec->source_pieces = vocabularies.source->size();
  spec->classes = vocabularies.target->size();
  spec->ends = {vocabularies.target->begin(), vocabularies.target->end()};
}

void require_content(const NetworkSpec& spec, const std::string& section, const DataIndex& shards) {
  const bool sentences = shards.content == Content::tokens;
  if (of_sentences(spec) == sentences) return;
  throw Error(ExitCode::settings,
              concat(section, ".kind = ", spec.kind, " sees ", sentences ? "images" : "sentences",
                     ", and ", shards.name, " holds ", sentences ? "pairs of sentences" : "images",
                     "; give ", sentences ? "lstm or transformer" : "a kind of image networks",
                     ", or another data.folder"));
}

void settle_images(RunConfig* config, Dataset* shards) {
  config->augmentation = settled(config->augmentation, shards->index());
  shards->prepare(evaluation_crop(config->augmentation.crop, shards->index()),
                  config->decode_threads);
}

std::string model_path(const std::string& path, const std::string& file) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored) || is_checkpoint(path)) return path;
  std::string held = (std::filesystem::path(path) / file).string();
  if (std::filesystem::exists(held, ignored)) return held;
  throw Error(ExitCode::model,
              concat(path, ": holds no ", file,
                     "; name a model file, or the folder of a run that has ended"));
}

LoadedModel load_model_for(const std::string& path, const std::string& section,
                           const NetworkSpec& settings, const Dataset* shards,
                           const at::Device& device) {
  const DataIndex* const index = shards == nullptr ? nullptr : &shards->index();
  LoadedModel model = load_model(path, {section, settings, index});
  if (index != nullptr) require_fits(model, path, *index);
  model.network->to(device);
  return model;
}

LoadedModel load_model_on(const std::string& path, const std::string& section,
                          const NetworkSpec& settings, Dataset* shards, const at::Device& device,
                          int64_t threads) {
  if (shards == nullptr) return load_model_for(path, section, settings, nullptr, device);
  LoadedModel model = load_model(path, {section, settings, &shards->index()});
  if (shards->index().content != Content::tokens) {
    shards->prepare(evaluation_crop(model, path, shards->index()), threads);
  }
  require_fits(model, path, shards->index());
  model.network->to(device);
  return model;
}

Error cannot_freeze(const std::string& setting, const char* precision,
                    const std::string& obstacle) {
  return {ExitCode::settings, concat(setting, " = ", precision,
                                     " cannot be for this network: ", obstacle, "; leave it out")};
}

InferencePrecision wanted_precision(TeacherPrecision precision, bool bf16) {
  return precision == TeacherPrecision::automatic ? fastest_precision(bf16)
                                                  : inference_precision(precision);
}

bool uncompiled_bf16(TeacherPrecision precision, bool bf16, const std::string& obstacle,
                     const at::Device& device) {
  const InferencePrecision wanted = wanted_precision(precision, bf16);
  if (wanted == InferencePrecision::int8) {
    throw cannot_freeze("teacher.precision", word(precision),
                        obstacle.empty() ? "those of sentences are not compiled" : obstacle);
  }
  if (precision != TeacherPrecision::automatic) bf16 = wanted == InferencePrecision::bf16;
  if (device.is_cpu() && !obstacle.empty()) {
    warn(concat("the teacher is not compiled (", obstacle, "): slower, it runs layer by layer in ",
                precision_name(bf16 ? InferencePrecision::bf16 : InferencePrecision::fp32)));
  }
  return bf16;
}

std::unique_ptr<Teacher> make_teacher(std::unique_ptr<Network> network, TeacherPrecision precision,
                                      bool bf16, const Dataset& shards) {
  std::string obstacle;
  if (!of_sentences(network->spec())) {
    if (auto frozen = freeze(*network, wanted_precision(precision, bf16), shards, &obstacle)) {
      return make_frozen_teacher(std::move(frozen), network->spec().normalization);
    }
  }
  const at::Device device = network->parameters().front()->value.device();
  return make_replicated_teacher(std::move(network),
                                 uncompiled_bf16(precision, bf16, obstacle, device));
}

Json describe_teacher(const Teacher& teacher) {
  const TeacherTraits& traits = teacher.traits();
  Json json = {{"precision", precision_name(traits.precision)},
               {"compiled", traits.compiled},
               {"normalization", to_json(traits.normalization)}};
  if (!traits.cache) {
    json["sharding"] = word(traits.slices ? traits.slices->sharding : Sharding::replicated);
  }
  if (traits.slices) json["slices"] = to_json(*traits.slices);
  if (traits.cache) {
    json["cache"] = {{"variants", traits.cache->variants},
                     {"samples", traits.cache->samples},
                     {"bytes", traits.cache->bytes},
                     {"top", traits.cache->top}};
    if (traits.cache->terms > 0) json["cache"]["terms"] = traits.cache->terms;
  }
  return json;
}

}  // namespace bitstill
