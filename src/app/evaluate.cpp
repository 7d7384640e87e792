// bitstill evaluate: what a model file is worth on a split of the shards.
#include "bitstill/infer/evaluate.hpp"

#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/report/evaluation.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/store/tensor_file.hpp"
#include "command.hpp"
#include "command_watch.hpp"
#include "device.hpp"
#include "model_on_data.hpp"
#include "sentence_scores.hpp"
#include "sharded_teacher.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string model_file, against_file, data_folder, html;
  Split split = Split::test;
  ModelPrecision precision = ModelPrecision::exact;
  TeacherLayout layout;  // of model.file
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  NetworkSpec model, against;
  bool json = false, unigram = false;
  CommandWatch watch;
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
  table.add("sharding", &s.layout.sharding, "of model.file, where it is too large for one rank");
  table.add("group", &s.layout.group, "hybrid: ranks of a group; 0: those of a host");
  table.add("json", &s.json, "print JSON");
  table.add("unigram", &s.unigram,
            "of sentences: also what a model knows that only counts pieces of train");
  table.add("html", &s.html, "a page with figures to write");
  table.add("run.device", &s.device, "");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
  s.watch.add_settings(table);
  table.add_section("model", s.model);
  table.add_section("against", s.against);
}

/// One of the files that are measured.
struct Measured {
  std::string path, fingerprint;
  LoadedModel model;  // without its network where that lies in slices
  std::unique_ptr<Predictor> predictor;
};

bool in_slices(const World& world, const Settings& s) {
  return s.layout.sharding != Sharding::replicated && world.place().world > 1;
}

Measured load_whole(const std::string& path, const std::string& section,
                    const NetworkSpec& settings, ModelPrecision precision, Dataset* shards,
                    const DeviceChoice& device) {
  Measured one;
  one.path = path;
  one.fingerprint = model_sha256(path);
  one.model = load_model_on(path, section, settings, shards, device.device, device.threads);
  const Network& network = *one.model.network;
  if (precision == ModelPrecision::exact) {
    one.predictor = make_predictor(network);
    return one;
  }
  std::string obstacle;
  auto frozen = freeze(network, inference_precision(precision), *shards, &obstacle);
  if (!frozen) throw cannot_freeze("precision", word(precision), obstacle);
  one.predictor = make_predictor(std::move(frozen), network.spec().normalization);
  return one;
}

/// Without weights; the shards then show images as the file says.
LoadedModel prepare_for_slices(const Settings& s, Dataset* shards, int64_t threads) {
  LoadedModel skeleton =
      load_skeleton(TensorFile(s.model_file), {"model", s.model, &shards->index()});
  shards->prepare(evaluation_crop(skeleton, s.model_file, shards->index()), threads);
  return skeleton;
}

/// Collective.
Measured load_in_slices(World& world, const Settings& s, const Dataset& shards,
                        const EvaluateOptions& options) {
  Measured one;
  one.path = s.model_file;
  agree(world.control(), [&] {
    one.fingerprint = model_samples_sha256(one.path);
    if (world.place().rank == 0) verify_model_file(one.path);
  });
  require_equal(world.control(), {{one.path, one.fingerprint}}, ExitCode::model);
  SharedModel shared = load_shared_model(world, one.path, {"model", s.model, &shards.index()},
                                         s.precision, s.layout, shards, options);
  say(concat(one.path, ": ", layout_text(*shared.teacher)));
  one.model = std::move(shared.model);
  one.predictor = make_predictor(std::move(shared.teacher));
  return one;
}

/// What the pass found of a file. A model whose answers are no numbers has no measure.
MeasuredModel measured(const Measured& one, const ClassificationTally& tally) {
  if (tally.not_finite() > 0) {
    throw AgreedError(ExitCode::numbers, concat(one.path, ": its answers to ", tally.not_finite(),
                                                " of ", tally.counts().samples,
                                                " images are not finite; its weights are damaged"));
  }
  return {one.path, one.model.file_bytes, tally};
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

/// On sentences a model is measured as it is, on every rank.
void require_plain(const Settings& s) {
  const auto refuse = [](const std::string& setting) {
    throw AgreedError(ExitCode::settings,
                      setting + " is of networks of images; leave it out on shards of sentences");
  };
  if (s.precision != ModelPrecision::exact) refuse(concat("precision = ", word(s.precision)));
  if (s.layout.sharding != Sharding::replicated) {
    refuse(concat("sharding = ", word(s.layout.sharding)));
  }
  if (!s.html.empty()) refuse("html");
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
  s.layout.prefix = "";
  s.watch.begin(world);
  const DeviceChoice device = choose_device(world, s.device, s.threads, false);
  std::unique_ptr<Dataset> shards;
  Measured model, reference;
  const bool against = !s.against_file.empty(), sliced = in_slices(world, s);
  agree(world.control(), [&] {
    require_ending("html", s.html, ".html");
    if (s.model_file.empty()) throw Error(ExitCode::settings, "model.file is not given");
    if (s.data_folder.empty()) throw Error(ExitCode::settings, "data.folder is not given");
    check(s.layout);
    require_given(s.layout);
  });
  shards = open_split(world, s.data_folder, s.split, Holds::anything);
  const auto progress = [&s](bool waits) { s.watch.progress(waits); };
  if (shards->index().content == Content::tokens) {
    require_plain(s);
    std::vector<ScoredFile> files = {{s.model_file, "model", s.model}};
    if (against) files.push_back({s.against_file, "against", s.against});
    print_sentence_scores(world, files, *shards,
                          {s.split, s.unigram, s.json, device.device, progress});
    s.watch.end();
    return 0;
  }
  agree(world.control(), [&] {
    s.model_file = model_path(s.model_file);
    if (sliced) {
      model.model = prepare_for_slices(s, shards.get(), device.threads);
    } else {
      model = load_whole(s.model_file, "model", s.model, s.precision, shards.get(), device);
    }
    if (!against) return;
    s.against_file = model_path(s.against_file);
    reference = load_whole(s.against_file, "against", s.against, ModelPrecision::exact,
                           shards.get(), device);
    require_same_images(s, model.model, reference.model, shards->index());
  });
  require_equal(
      world.control(),
      {{s.model_file, model.fingerprint}, {"against = " + s.against_file, reference.fingerprint}},
      ExitCode::model);
  EvaluateOptions options;
  options.device = device.device;
  options.progress = progress;
  if (sliced) {
    model = load_in_slices(world, s, *shards, options);
  } else if (s.layout.sharding != Sharding::replicated) {
    say(concat("sharding = ", word(s.layout.sharding),
               ": one rank keeps the whole model, as replicated"));
  }
  const FullEvaluation found = evaluate_fully(*model.predictor, reference.predictor.get(), *shards,
                                              s.split, options, world.control());
  EvaluationFacts facts{
      shards->index().name, word(s.split), model.model.classes, measured(model, found.model), {}};
  if (against) {
    facts.against = {measured(reference, found.against->reference), found.against->pairs};
  }
  agree(world.control(), [&] {
    if (world.place().rank == 0) publish(s, facts);
  });
  s.watch.end();
  return 0;
}

}  // namespace bitstill
