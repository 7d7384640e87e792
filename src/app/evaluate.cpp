// bitstill evaluate: what a model file is worth on a split of the shards.
#include "bitstill/infer/evaluate.hpp"

#include <cstdio>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "command.hpp"
#include "device.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string model_file, data_folder, split = "test", device = "cpu";
  int64_t threads = 0;
  NetworkSpec model;
  bool json = false;
};

void add_settings(SettingTable& table, Settings& s) {
  table.add("model.file", &s.model_file, "compressed student, checkpoint or plain safetensors");
  table.add("data.folder", &s.data_folder, "shards, made by bitstill shard");
  table.add("data.split", &s.split, "train | validation | test");
  table.add("run.device", &s.device, "cpu | cuda | auto");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
  add_network_settings(table, "model", s.model);
  table.add("json", &s.json, "print JSON");
}

Split split_of(const std::string& name) {
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    if (name == split_name(split)) return split;
  }
  throw Error(ExitCode::settings,
              concat("data.split = ", name, ": give train, validation or test"));
}

void print(const Settings& s, const LoadedModel& model, const ClassificationCounts& counts) {
  const auto [low, high] = wilson_interval(counts.correct, counts.samples);
  if (s.json) {
    const Json result = {{"file", s.model_file},
                         {"bytes", model.file_bytes},
                         {"split", s.split},
                         {"samples", counts.samples},
                         {"correct", counts.correct},
                         {"accuracy", counts.accuracy()},
                         {"low", low},
                         {"high", high},
                         {"cross_entropy", counts.mean_loss()}};
    std::printf("%s\n", result.dump().c_str());
    return;
  }
  std::printf(
      "%s on %s (%lld images): top-1 %.2f %% (95 %% interval %.2f to %.2f), cross-entropy %.4f\n",
      s.model_file.c_str(), s.split.c_str(), static_cast<long long>(counts.samples),
      counts.accuracy(), low, high, counts.mean_loss());
}

}  // namespace

int run_evaluate(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  add_settings(table, s);
  if (!read_settings(world, table, arguments,
                     "bitstill evaluate: measures a model file on a split, over all ranks")) {
    return 0;
  }
  const DeviceChoice device = choose_device(world, s.device, s.threads, false);
  std::unique_ptr<Dataset> dataset;
  LoadedModel model;
  Split split = Split::test;
  agree(world.control(), [&] {
    split = split_of(s.split);
    if (s.model_file.empty()) throw Error(ExitCode::settings, "model.file is not given");
    if (s.data_folder.empty()) throw Error(ExitCode::settings, "data.folder is not given");
    dataset = std::make_unique<Dataset>(s.data_folder);
    const DataIndex& index = dataset->index();
    PlainFileFacts facts{s.model, index.normalization, index.classes};
    facts.network.input = index.shape;
    facts.network.classes = static_cast<int64_t>(index.classes.size());
    model = load_model(s.model_file, facts);
    require_fits(model, s.model_file, index.shape, index.classes);
    if (dataset->size(split) == 0) {
      throw Error(ExitCode::data, concat(s.data_folder, " has no ", s.split, " images"));
    }
    model.network->to(device.device);
  });
  EvaluateOptions options;
  options.device = device.device;
  const auto counts =
      evaluate(*model.network, *dataset, split, model.normalization, options, world.control());
  if (world.place().rank == 0) print(s, model, counts);
  return 0;
}

}  // namespace bitstill
