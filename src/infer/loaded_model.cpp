#include "bitstill/infer/loaded_model.hpp"

#include <algorithm>
#include <filesystem>

#include "bitstill/base/log.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

constexpr int64_t kLargestResize = 8192;

using MakeNetwork = std::unique_ptr<Network> (*)(const NetworkSpec& spec, int64_t most_parameters);

/// The network that a file says it holds: never larger than the `values` that it does hold.
std::unique_ptr<Network> described_network(MakeNetwork make, const NetworkSpec& spec,
                                           int64_t values, const std::string& path) {
  try {
    return make(spec, values);
  } catch (const Error& error) {
    throw Error(ExitCode::model,
                concat(path, ": the network it describes does not fit: ", error.what()));
  }
}

std::vector<std::string> class_names(const Json& json, const std::string& path) {
  std::vector<std::string> names;
  for (const Json& name : json) {
    if (!name.is_string()) throw Error(ExitCode::model, concat(path, ": a class has no name"));
    names.push_back(name.get<std::string>());
  }
  return names;
}

void require_consistent(const NetworkSpec& spec, const LoadedModel& model,
                        const std::string& path) {
  if (static_cast<int64_t>(spec.normalization.mean.size()) != spec.input.channels ||
      static_cast<int64_t>(model.classes.size()) != spec.classes) {
    throw Error(
        ExitCode::model,
        concat(path, ": its network takes ", spec.input.channels, " channels and knows ",
               spec.classes, " classes, it names ", spec.normalization.mean.size(), " means and ",
               model.classes.size(), " classes, which do not fit together; write it again"));
  }
}

NetworkSpec described_spec(const Json& about, const std::string& path, LoadedModel* model) {
  const auto member = [&](const char* name) -> const Json& {
    if (!about.is_object() || !about.contains(name)) {
      throw Error(ExitCode::model, concat(path, ": its description lacks \"", name,
                                          "\"; write the file again with bitstill"));
    }
    return about.at(name);
  };
  NetworkSpec spec = network_spec_from_json(member("network"), path, ExitCode::model);
  if (of_sentences(spec)) return spec;
  spec.normalization = normalization_from_json(member("normalization"), path, ExitCode::model);
  model->classes = class_names(member("classes"), path);
  model->evaluation = about.value("evaluation", Json());
  require_consistent(spec, *model, path);
  return spec;
}

/// What settings and shards say of a plain file, and what its bitstill_input says first.
NetworkSpec plain_spec(const Json& input, const std::string& path, const FileFacts& facts,
                       LoadedModel* model) {
  if (facts.shards == nullptr) {
    throw Error(ExitCode::model,
                concat(path,
                       " holds weights only and does not say of which network; bitstill export "
                       "--model.kind NETWORK --data.folder SHARDS makes a file that does"));
  }
  NetworkSpec spec = facts.settings;
  spec.input = facts.shards->shape;
  spec.normalization = {};
  model->classes = facts.shards->classes;
  for (const auto& [name, value] : input.items()) {
    const std::string where = path + ": its bitstill_input." + name;
    if (name == "normalization") {
      spec.normalization = normalization_from_json(value, where, ExitCode::model, "std");
    } else if (name == "input") {
      spec.input = image_shape_from_json(value, where, ExitCode::model);
    } else if (name == "classes") {
      model->classes = class_names(value, where);
    } else if (name == "evaluation") {
      model->evaluation = value;
    } else {
      throw Error(ExitCode::model, where +
                                       " is unknown; known are normalization, input, classes "
                                       "and evaluation");
    }
  }
  if (!spec.normalization.stated()) {
    spec.normalization = normalization_without_file(facts);
    if (!facts.settings.normalization.stated()) {
      say(concat(path, " does not say how its input is normalized; taken is the shards' ",
                 to_text(spec.normalization), " (", facts.section, ".mean and ", facts.section,
                 ".std say otherwise)"));
    }
  }
  if (spec.input.height == 0) {
    throw Error(ExitCode::model,
                concat(path,
                       " does not say the size of its input, and the images of these shards "
                       "have none; write it with the size (launch/export_pytorch.py)"));
  }
  spec.classes = static_cast<int64_t>(model->classes.size());
  require_consistent(spec, *model, path);
  return spec;
}

/// A mean and a deviation for each channel.
void require_whole(const FileFacts& facts, int64_t channels) {
  const Normalization& given = facts.settings.normalization;
  const auto whole = [&](const std::vector<float>& list) {
    return static_cast<int64_t>(list.size()) == channels;
  };
  const auto& deviation = given.deviation;
  if (whole(given.mean) && whole(deviation) &&
      std::all_of(deviation.begin(), deviation.end(), [](float value) { return value > 0; })) {
    return;
  }
  throw Error(ExitCode::settings,
              concat(facts.section, ".mean and ", facts.section, ".std give ", to_text(given),
                     "; give both for each of the ", channels, " channels, std above 0"));
}

/// What the settings can say of a network's layers.
Json layers_of(const NetworkSpec& spec) {
  Json json = {{"kind", spec.kind}};
  const auto add = [&](const char* name, const auto& value, const std::string&) {
    json[name] = value;
  };
  visit_settings(options_of<ConvnetOptions>(spec), add);
  visit_settings(options_of<ResidualOptions>(spec), add);
  visit_settings(options_of<SentenceOptions>(spec), add);
  visit_settings(options_of<RecurrentOptions>(spec), add);
  visit_settings(options_of<TransformerOptions>(spec), add);
  json.erase("zero_norm");  // training's affair
  return json;
}

/// The settings, where they say anything, must say what the file's network is (dropout is
/// training's affair).
void require_agrees(const NetworkSpec& spec, const std::string& path, const FileFacts& facts) {
  const auto refuse = [&](const std::string& own, const std::string& settings) {
    throw Error(ExitCode::settings, concat(path, " says ", own, ", the settings ", facts.section,
                                           ".* say ", settings, "; leave them out"));
  };
  const Normalization& given = facts.settings.normalization;
  if (given.stated()) {
    require_whole(facts, spec.input.channels);
    if (!(given == spec.normalization)) refuse(to_text(spec.normalization), to_text(given));
  }
  if (layers_of(facts.settings) == layers_of({})) return;
  NetworkSpec wanted = facts.settings;
  wanted.input = spec.input;
  wanted.classes = spec.classes;
  wanted.source_pieces = spec.source_pieces;
  wanted.ends = spec.ends;
  const Json own = to_json(spec), settings = to_json(completed(wanted));
  // A convnet's kind is but a name for its layers.
  if (!(own.contains("widths") && settings.contains("widths")) && spec.kind != wanted.kind) {
    refuse("kind " + spec.kind, "kind " + wanted.kind);
  }
  const Json layers = layers_of(wanted);
  for (const auto& [name, value] : layers.items()) {
    if (name != "kind" && own.contains(name) && own[name] != settings[name]) {
      refuse(concat(name, " ", own[name].dump()), concat(name, " ", settings[name].dump()));
    }
  }
}

/// The same pieces under the same numbers.
void require_same_vocabularies(const LoadedModel& model, const std::string& path,
                               const DataIndex& shards) {
  const VocabularyPair own = read_vocabularies(model.attached, model.network->spec(), path);
  const auto require = [&](const char* side, const Vocabulary& vocabulary,
                           const VocabularyFile& file) {
    if (sha256_hex(vocabulary.bytes()) == file.sha256) return;
    throw Error(ExitCode::model,
                concat(path, " has another ", side, " vocabulary (", vocabulary.size(),
                       " pieces) than the shards (", file.file, ", ", file.pieces,
                       "); shard the sentences again with the model's"));
  };
  require("source", *own.source, shards.vocabularies.front());
  require("target", *own.target, shards.vocabularies.back());
}

/// Checkpoints hold more than a network.
bool of_network(const std::string& tensor) {
  return !tensor.starts_with("optimizer.") && !tensor.starts_with("quantizer.") &&
         !tensor.starts_with("average.");
}

/// All of a model but its values.
LoadedModel described_model(MakeNetwork make, const Json& about, const Json& input, int64_t values,
                            const std::string& path, const FileFacts& facts) {
  LoadedModel model;
  model.about = about;
  if (about.is_null()) {
    model.network = make(plain_spec(input, path, facts, &model), kMostParameters);
  } else {
    model.network = described_network(make, described_spec(about, path, &model), values, path);
  }
  require_agrees(model.network->spec(), path, facts);
  model.network->set_trainable(false);
  return model;
}

}  // namespace

NamedTensors network_tensors(const ModelFile& file) {
  NamedTensors tensors = decoded_tensors(file);
  std::erase_if(tensors, [](const auto& named) { return !of_network(named.first); });
  return tensors;
}

Normalization normalization_without_file(const FileFacts& facts) {
  const Normalization& given = facts.settings.normalization;
  if (!given.stated()) return facts.shards->normalization;
  require_whole(facts, facts.shards->shape.channels);
  return given;
}

LoadedModel load_model(const std::string& path, const FileFacts& facts) {
  const ModelFile file = read_model_file(path);
  const NamedTensors tensors = network_tensors(file);
  int64_t values = 0;
  for (const auto& [name, tensor] : tensors) values += tensor.numel();
  LoadedModel model = described_model(make_network, file.about, file.input, values, path, facts);
  assign(*model.network, tensors, path);
  model.attached = file.attached;
  model.file_bytes = static_cast<int64_t>(file.sizes.file);
  return model;
}

LoadedModel load_skeleton(const TensorFile& file, const FileFacts& facts) {
  const ModelFront& front = file.front();
  std::vector<TensorFacts> tensors;
  int64_t values = 0;
  for (const SafetensorsEntry& entry : front.header.entries) {
    if (!of_network(entry.name) || attaches(entry.name, entry.dtype)) continue;
    tensors.push_back({entry.name, entry.shape, dtype_name(entry.dtype), is_floating(entry.dtype)});
    values += static_cast<int64_t>(entry.bytes) / dtype_bytes(entry.dtype);
  }
  LoadedModel model =
      described_model(make_skeleton, front.about, front.input, values, file.path(), facts);
  require_fits(*model.network, tensors, file.path());
  model.attached = file.attached();
  model.file_bytes = static_cast<int64_t>(std::filesystem::file_size(file.path()));
  return model;
}

void require_fits(const LoadedModel& model, const std::string& path, const DataIndex& shards) {
  const NetworkSpec& spec = model.network->spec();
  const ImageShape& shape = shards.shape;
  const std::vector<std::string>& classes = shards.classes;
  const bool sentences = shards.content == Content::tokens;
  if (of_sentences(spec) != sentences) {
    throw Error(ExitCode::model,
                concat(path, " sees ", sentences ? "images" : "sentences", ", the shards hold ",
                       sentences ? "pairs of sentences" : "images", "; give shards of its kind"));
  }
  if (sentences) {
    require_same_vocabularies(model, path, shards);
    return;
  }
  const auto size = [](const ImageShape& s) {
    return concat(s.channels, "x", s.height, "x", s.width);
  };
  if (!(spec.input == shape)) {
    throw Error(ExitCode::model,
                concat(path, " takes ", size(spec.input), " images, the shards hold ", size(shape),
                       "; give shards of the same size"));
  }
  if (model.classes != classes) {
    std::string first;
    if (model.classes.size() == classes.size()) {
      const auto at = static_cast<std::size_t>(
          std::mismatch(classes.begin(), classes.end(), model.classes.begin()).first -
          classes.begin());
      first = concat(", class ", at, " being ", model.classes[at], " and ", classes[at]);
    }
    throw Error(ExitCode::model, concat(path, " knows ", model.classes.size(), " classes (",
                                        list_names(model.classes, 4), "), the shards ",
                                        classes.size(), " (", list_names(classes, 4), ")", first,
                                        "; give shards of the same classes in the same order"));
  }
}

CropOptions stated_crop(const LoadedModel& model, const std::string& path) {
  CropOptions crop;
  const Json& said = model.evaluation;
  if (!said.is_object() || !said.contains("resize")) return crop;
  const ImageShape& input = model.network->spec().input;
  const Json &resize = said["resize"], cut = said.value("crop", Json(input.height));
  crop.crop = CropKind::centre;
  crop.size = input.height;
  crop.resize = resize.is_number_integer() ? resize.get<int64_t>() : 0;
  if (cut == Json(input.height) && input.height == input.width && crop.resize >= crop.size &&
      crop.resize <= kLargestResize) {
    return crop;
  }
  throw Error(ExitCode::model, concat(path, ": its evaluation ", said.dump(),
                                      " does not make images of ", input.height, "x", input.width,
                                      ": crop is that, resize its side to ", kLargestResize));
}

CropOptions evaluation_crop(const LoadedModel& model, const std::string& path,
                            const DataIndex& shards) {
  const ImageShape& input = model.network->spec().input;
  if (input == shards.row) return {};
  CropOptions crop = stated_crop(model, path);
  if (crop.crop != CropKind::none || shards.row.height > 0) return crop;
  if (input.height != input.width) {
    throw Error(ExitCode::model, concat(path, " takes images of ", input.height, "x", input.width,
                                        "; JPEG shards give squares"));
  }
  crop.crop = CropKind::centre;
  crop.size = crop.resize = input.height;
  return crop;
}

Json evaluation_json(const CropOptions& crop) {
  if (crop.crop == CropKind::none) return {};
  return {{"resize", crop.resize}, {"crop", crop.size}};
}

Json describe_model(const std::string& kind, const NetworkSpec& network,
                    const std::vector<std::string>& classes) {
  Json about = {{"format", 1}, {"kind", kind}, {"network", to_json(network)}};
  if (of_sentences(network)) return about;
  about["normalization"] = to_json(network.normalization);
  about["classes"] = classes;
  return about;
}

}  // namespace bitstill
