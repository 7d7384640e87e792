// bitstill compress: a run's student.safetensors again, or with --post-mortem a new one. Rank 0
// works.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/folder_lock.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/checkpoint.hpp"
#include "bitstill/train/ship.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSummary =
    "bitstill compress RUN_FOLDER_OR_FILE [--out FILE]: makes student.safetensors again from a "
    "run's stored\nstate, byte for byte as the run wrote it. A folder: its masters, or of a run "
    "that has not ended the\ncheckpoint that would ship. A file: master.safetensors or one of "
    "checkpoints/. Codes, scales and points\ncome from the masters and the quantizer's learned "
    "values there. Checkpoints hold batch norm as trained:\nre-estimating it "
    "(train.reestimate_batches) needs the run itself.\n\n"
    "bitstill compress WEIGHTS --post-mortem --out FILE [--quant.SETTING VALUE ...]: quantizes "
    "fp32 weights\nthat were not trained for it.";

struct Settings {
  std::vector<std::string> words;
  std::string out;
  bool post_mortem = false;
  QuantOptions quant;
};

/// The file of a run folder that holds what ships, or would if the run ended now.
std::string state_of_run(const std::string& folder) {
  if (!fs::exists(folder + "/run.jsonl")) {
    throw Error(ExitCode::model, concat(folder,
                                        " is no run folder, it holds no run.jsonl; give one, or a "
                                        "master.safetensors or checkpoint"));
  }
  const Run run = read_run(folder);
  if (run.finished) return folder + "/master.safetensors";
  const std::pair<std::string, std::string> select = {"train.select", word(Select::best)};
  const bool selects =
      std::find(run.settings.begin(), run.settings.end(), select) != run.settings.end();
  const std::string checkpoints = folder + "/checkpoints/";
  const std::vector<int64_t> steps = checkpoint_steps(checkpoints);
  if (steps.empty()) {
    throw Error(ExitCode::model, concat(folder,
                                        ": the run has no checkpoint yet; wait until its first "
                                        "epoch ends, or continue it with --resume"));
  }
  const std::string newest = checkpoints + checkpoint_name(steps[0]);
  const Manifest manifest = read_manifest(newest);
  return selects && manifest.best ? checkpoints + best_name(manifest.best_step) : newest;
}

ModelFile ship_again(const std::string& from) {
  const StoredStudent stored = load_stored_student(from);
  return student_file(stored.about, stored.student, stored.about["steps"].get<int64_t>());
}

ModelFile post_mortem(const std::string& from, const QuantOptions& quant) {
  if (holds_quantized_values(read_model_file(from))) {
    throw Error(ExitCode::model,
                concat(from,
                       " is quantized already, and codes made from quantized values would lose "
                       "twice; give fp32 weights, as the run's master.safetensors"));
  }
  LoadedModel model = load_model(from);
  const auto seed = model.about.value("seed", uint64_t{0});
  Student student(std::move(model.network), quant, seed, at::kCPU);
  student.attach(std::move(model.attached));
  const auto steps = model.about.value("steps", int64_t{0});
  forget_run(model.about);
  return student_file(model.about, student, steps);
}

void check(const Settings& s, const Words& arguments) {
  if (s.words.size() != 1) {
    throw Error(ExitCode::settings,
                concat(s.words.empty() ? "nothing" : "more than one thing",
                       " to compress: name one run folder, master.safetensors or checkpoint"));
  }
  require_ending("out", s.out, ".safetensors");
  const bool sets_quant = std::any_of(arguments.begin(), arguments.end(), [](const auto& word) {
    return word.starts_with("--quant.");
  });
  if (sets_quant && !s.post_mortem) {
    throw Error(ExitCode::settings,
                "quant.* is given, but a run's state is compressed by its own settings; leave it "
                "out, or give --post-mortem to quantize weights anew");
  }
  if (!s.post_mortem) return;
  check(s.quant);
  if (s.quant.method == QuantMethod::none) {
    throw Error(ExitCode::settings, "quant.method = none leaves nothing to compress; give uniform");
  }
  if (s.out.empty()) {
    throw Error(ExitCode::settings, "out is not given: the file that --post-mortem writes");
  }
}

void compress(const Settings& s) {
  const std::string& given = s.words.front();
  std::error_code ignored;  // what is wrong with the path, opening it says
  const bool folder = fs::is_directory(given, ignored) && !is_checkpoint(given);
  if (s.post_mortem && folder) {
    throw Error(ExitCode::model,
                concat(given, " is a folder; --post-mortem takes a file of fp32 weights, as ",
                       given, "/master.safetensors"));
  }
  // What a running job ships must stay its own.
  FolderLock lock;
  if (folder && s.out.empty()) lock = FolderLock(given);
  const std::string from = folder ? state_of_run(given) : given;
  const ModelFile file = s.post_mortem ? post_mortem(from, s.quant) : ship_again(from);
  const fs::path beside = folder ? fs::path(given) : fs::path(from).parent_path();
  const std::string to = s.out.empty() ? (beside / "student.safetensors").string() : s.out;
  write_model_file(to, file);
  std::printf("%s: %s, %s, from %s after %lld steps\n", to.c_str(),
              human_bytes(static_cast<double>(fs::file_size(to))).c_str(),
              file.about["quantizer"]["method"].get<std::string>().c_str(), from.c_str(),
              static_cast<long long>(file.about["steps"].get<int64_t>()));
}

}  // namespace

int run_compress(World& world, const Words& arguments) {
  Settings s;
  s.quant.method = QuantMethod::uniform;
  SettingTable table;
  table.take_words(&s.words, "RUN_FOLDER_OR_FILE          a run, or a state that it stored");
  table.add("out", &s.out, "the file to write; without it student.safetensors beside the state");
  table.add("post-mortem", &s.post_mortem,
            "quantize weights that were not trained for it, by quant.*");
  table.add_section("quant", s.quant);
  if (!read_settings(world, table, arguments, kSummary)) return 0;
  agree(world.control(), [&] {
    check(s, arguments);
    if (world.place().rank == 0) compress(s);
  });
  return 0;
}

}  // namespace bitstill
