// bitstill compress --post-mortem, bitstill export: one model file becomes another. Rank 0 works.
#include <cstdio>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/train/student.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

void require_given(const std::string& value, const char* name) {
  if (value.empty()) throw Error(ExitCode::settings, concat(name, " is not given"));
}

LoadedModel load_described(const std::string& path) {
  require_given(path, "model.file");
  return load_model(path);
}

void compress(const std::string& from, const std::string& to, const QuantOptions& quant) {
  require_given(to, "out");
  check(quant);
  if (quant.method == "none") {
    throw Error(ExitCode::settings, "quant.method = none leaves nothing to compress; give uniform");
  }
  LoadedModel model = load_described(from);
  if (model.about.contains("quantizer") && !model.about["quantizer"].is_null() &&
      model.about["kind"] == "student") {
    throw Error(ExitCode::model, concat(from,
                                        " is quantized already; codes made from quantized values "
                                        "lose twice. Give the run's master.safetensors"));
  }
  Json about = model.about;
  Student student(std::move(model.network), quant, 0, at::kCPU);
  student.quantize(0);
  ModelFile file = student.packed(0);
  about["kind"] = "student";
  about["quantizer"] = student.quantizer()->describe();
  file.about = about;
  write_model_file(to, file);
}

}  // namespace

int run_compress(World& world, const Words& arguments) {
  std::string from, to;
  bool post_mortem = false;
  QuantOptions quant;
  quant.method = "uniform";
  SettingTable table;
  table.add("model.file", &from,
            "trained fp32 weights that describe themselves (master.safetensors)");
  table.add("out", &to, "the compressed file to write");
  table.add("post-mortem", &post_mortem, "quantize weights that were not trained for it");
  add_quant_settings(table, quant);
  if (!read_settings(world, table, arguments,
                     "bitstill compress --post-mortem: quantizes trained weights after the fact")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    if (!post_mortem) {
      throw Error(
          ExitCode::settings,
          "a run's student.safetensors is compressed already; give --post-mortem to quantize "
          "weights that were not trained for it");
    }
    compress(from, to, quant);
  });
  return 0;
}

int run_export(World& world, const Words& arguments) {
  std::string from, to;
  SettingTable table;
  table.add("model.file", &from, "any model file of bitstill");
  table.add("out", &to, "the safetensors file to write: fp32, names as PyTorch's");
  if (!read_settings(world, table, arguments,
                     "bitstill export: writes the exact (decoded) weights as fp32 safetensors")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    require_given(to, "out");
    const LoadedModel model = load_described(from);
    Json about = model.about;
    about["kind"] = "weights";
    write_model_file(to, {about, named_tensors(*model.network), {}});
  });
  return 0;
}

}  // namespace bitstill
