#include "translator.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/step.hpp"

namespace bitstill {
namespace {

std::string read_standard_input() {
  std::string text;
  char part[1 << 16];
  while (const std::size_t count = std::fread(part, 1, sizeof part, stdin)) {
    text.append(part, count);
  }
  if (std::ferror(stdin) == 0) return text;
  throw Error(ExitCode::data, concat("stdin: cannot read: ", std::strerror(errno)));
}

}  // namespace

Translator load_translator(World& world, const std::string& path, TrainPrecision precision,
                           const at::Device& device, const Dataset* shards) {
  Translator made;
  std::string file;
  agree(world.control(), [&] {
    file = model_path(path);
    made.sha256 = model_sha256(file);
    made.model = load_model_for(file, "model", {}, shards, device);
    made.decoder = make_step_decoder(*made.model.network, use_bf16(precision, device));
    made.vocabularies = read_vocabularies(made.model.attached, made.model.network->spec(), file);
  });
  require_equal(world.control(), {{file, made.sha256}}, ExitCode::model);
  return made;
}

std::vector<std::string> lines_for_all(World& world, const std::string& path) {
  std::string text;
  agree(world.control(), [&] {
    if (world.place().rank == 0) {
      text = path.empty() ? read_standard_input() : read_file(path, ExitCode::data);
    }
  });
  text = broadcast_text(world.control(), text, 0);
  std::vector<std::string> lines;
  agree(world.control(), [&] { lines = sentence_lines(text, path.empty() ? "stdin" : path); });
  return lines;
}

}  // namespace bitstill
