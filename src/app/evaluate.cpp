// bitstill evaluate: what a model file is worth on a split of the shards.
#include "bitstill/infer/evaluate.hpp"

#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/report/evaluation.hpp"
#include "command.hpp"
#include "device.hpp"
#include "model_on_data.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string model_file, against_file, data_folder, html;
  Split split = Split::test;
  ModelPrecision precision = ModelPrecision::exact;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  NetworkSpec model, against;
  bool json = false;
};

void add_settings(SettingTable& table, Settings& s) {
  table.add("model.file", &s.model_file,
            "compressed student, checkpoint, plain safetensors or a run's folder");
  table.add("against", &s.against_file,
            "a model file or a run's folder to compare with: the teacher, fp32 student");
  table.add("data.folder", &s.data_folder, "shards, made by bitstill shard");
  table.add("data.split", &s.split, "");
  table.add("precision", &s.precision,
            "of model.file, compiled as a teacher is (teacher.precision)");
  table.add("json", &s.json, "print JSON");
  table.add("html", &s.html, "a page with figures to write");
  table.add("run.device", &s.device, "");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
  table.add_section("model", s.model);
  table.add_section("against", s.against);
}

/// A file and what the pass found of it. A model whose answers are no numbers has no measure.
MeasuredModel measured(const std::string& path, const LoadedModel& model,
                       const ClassificationTally& tally) {
  if (tally.not_finite() > 0) {
    throw AgreedError(ExitCode::numbers, concat(path, ": its answers to ", tally.not_finite(),
                                                " of ", tally.counts().samples,
                                                " images are not finite; its weights are damaged"));
  }
  return {path, model.file_bytes, tally};
}

/// Both are asked about the same images.
void require_same_images(const Settings& s, const LoadedModel& model, const LoadedModel& reference,
                         const DataIndex& shards) {
  const Json mine = evaluation_json(evaluation_crop(model, s.model_file, shards));
  const Json its = evaluation_json(evaluation_crop(reference, s.against_file, shards));
  if (mine == its) return;
  throw Error(ExitCode::model,
              concat(s.model_file, " is evaluated with images as ", mine.dump(), ", ",
                     s.against_file, " with ", its.dump(), "; evaluate each alone"));
}

void publish(const Settings& s, const EvaluationFacts& facts) {
  if (!s.html.empty()) replace_file(s.html, evaluation_page(facts));
  const std::string text =
      s.json ? evaluation_json(facts).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"
             : evaluation_text(facts);
  std::fputs(text.c_str(), stdout);
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
  std::unique_ptr<Dataset> shards;
  LoadedModel model, reference;
  std::string model_sha256, against_sha256;
  const bool against = !s.against_file.empty();
  agree(world.control(), [&] {
    require_ending("html", s.html, ".html");
    if (s.model_file.empty()) throw Error(ExitCode::settings, "model.file is not given");
    if (s.data_folder.empty()) throw Error(ExitCode::settings, "data.folder is not given");
  });
  shards = open_split(world, s.data_folder, s.split);
  agree(world.control(), [&] {
    s.model_file = model_path(s.model_file);
    model_sha256 = sha256_of_file(s.model_file, ExitCode::model);
    model =
        load_model_on(s.model_file, "model", s.model, shards.get(), device.device, device.threads);
    if (s.precision != ModelPrecision::exact) {
      std::string obstacle;
      model.frozen = freeze(*model.network, inference_precision(s.precision), *shards, &obstacle);
      if (!model.frozen) throw cannot_freeze("precision", word(s.precision), obstacle);
    }
    if (against) {
      s.against_file = model_path(s.against_file);
      against_sha256 = sha256_of_file(s.against_file, ExitCode::model);
      reference = load_model_for(s.against_file, "against", s.against, shards.get(), device.device);
      require_same_images(s, model, reference, shards->index());
    }
  });
  require_equal(world.control(),
                {{s.model_file, model_sha256}, {"against = " + s.against_file, against_sha256}},
                ExitCode::model);
  EvaluateOptions options;
  options.device = device.device;
  const FullEvaluation found = evaluate_fully(model, against ? &reference : nullptr, *shards,
                                              s.split, options, world.control());
  EvaluationFacts facts{shards->index().name,
                        word(s.split),
                        model.classes,
                        measured(s.model_file, model, found.model),
                        {}};
  if (against) {
    facts.against = {measured(s.against_file, reference, found.against->reference),
                     found.against->pairs};
  }
  agree(world.control(), [&] {
    if (world.place().rank == 0) publish(s, facts);
  });
  return 0;
}

}  // namespace bitstill
