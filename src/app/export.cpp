// bitstill export: a model file as fp32 weights that describe themselves. Rank 0 works.
#include <optional>

#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "command.hpp"
#include "model_on_data.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string from, to, data_folder;
  NetworkSpec model;
};

void write_weights(const Settings& s) {
  std::optional<Dataset> shards;
  if (!s.data_folder.empty()) shards.emplace(s.data_folder);
  const LoadedModel model =
      load_model_on(s.from, "model", s.model, shards ? &*shards : nullptr, at::kCPU, 1);
  const bool plain = model.about.is_null();
  Json about =
      plain ? describe_model("weights", model.network->spec(), model.classes) : model.about;
  if (plain && !model.evaluation.is_null()) about["evaluation"] = model.evaluation;
  about["kind"] = !plain && holds_quantized_values(read_model_file(s.from)) ? "decoded" : "weights";
  forget_run(about);
  ModelFile file{about, named_tensors(*model.network), {}};
  file.attached = model.attached;
  write_model_file(s.to, file);
}

}  // namespace

int run_export(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  table.add("model.file", &s.from,
            "any model file of bitstill or a run's folder; with model.* a plain one");
  table.add("out", &s.to, "the safetensors file to write: fp32, names as PyTorch's");
  table.add("data.folder", &s.data_folder,
            "shards that a plain file's weights are for: input shape, normalization, classes");
  table.add_section("model", s.model);
  if (!read_settings(world, table, arguments,
                     "bitstill export: writes the exact (decoded) weights as fp32 safetensors. "
                     "Weights of PyTorch, which do\nnot say of which network they are, get their "
                     "description by model.* and data.folder")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (s.from.empty()) throw Error(ExitCode::settings, "model.file is not given");
    if (s.to.empty()) throw Error(ExitCode::settings, "out is not given");
    require_ending("out", s.to, ".safetensors");
    s.from = model_path(s.from);
    if (world.place().rank == 0) write_weights(s);
  });
  return 0;
}

}  // namespace bitstill
