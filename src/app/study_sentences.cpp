#include "study_sentences.hpp"

#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/watchdog.hpp"
#include "bitstill/metrics/bleu.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/translations.hpp"
#include "bitstill/store/checkpoint_folder.hpp"

namespace bitstill {
namespace {

std::vector<std::string> joined_lines(World& world, const std::string& files) {
  std::vector<std::string> lines;
  for (const std::string& file : comma_list(files)) {
    const std::vector<std::string> some = lines_for_all(world, file);
    lines.insert(lines.end(), some.begin(), some.end());
  }
  return lines;
}

/// Whether the file at `path` was made so.
bool made_already(const std::string& path, const Json& made_by) {
  if (!std::filesystem::exists(path)) return false;
  return translations_from(read_file(path, ExitCode::data, kMostTranslationsBytes), path).made_by ==
         made_by;
}

std::string score_text(const Translations& made) {
  BleuCounts counts;
  for (std::size_t i = 0; i < made.lines.size(); ++i) {
    counts += bleu_counts(made.lines[i], made.references[i]);
  }
  return "BLEU " + fixed(counts.score(), 2);
}

}  // namespace

StudySentences read_study_sentences(World& world, const StudyOptions& study) {
  StudySentences read;
  read.sources = joined_lines(world, study.source);
  read.references = joined_lines(world, study.reference);
  if (read.sources.size() != read.references.size()) {
    throw AgreedError(ExitCode::data,
                      concat("study.source has ", read.sources.size(), " lines, study.reference ",
                             read.references.size(), ": they are not translations of each other"));
  }
  std::string all;
  for (const auto* lines : {&read.sources, &read.references}) {
    for (const std::string& line : *lines) all += line + "\n";
  }
  read.sha256 = sha256_hex(all);
  read.options.search.beam = study.beam;
  return read;
}

void translate_run(World& world, const StudySentences& sentences, const std::string& folder,
                   double timeout_s) {
  Watchdog watchdog(world, timeout_s);
  watchdog.progress(Phase::load, 0);
  const bool writes = world.place().rank == 0;
  const std::string file = folder + "/student.safetensors", path = folder + "/" + kTranslationsFile;
  Json made_by = {{"model", ""},
                  {"sentences", sentences.sha256},
                  {"beam", sentences.options.search.beam},
                  {"length_penalty", sentences.options.search.length_penalty}};
  int64_t made = 0;
  agree(world.control(), [&] {
    if (!writes) return;
    made_by["model"] = model_sha256(file);
    made = made_already(path, made_by) ? 1 : 0;
  });
  world.control().broadcast(&made, 1, ElementType::i64, 0);
  if (made != 0) {
    watchdog.stop();
    return;
  }
  const Translator translator =
      load_translator(world, file, TrainPrecision::fp32, sentences.options.device);
  TranslateOptions options = sentences.options;
  options.progress = [&](int64_t done, int64_t all) {
    watchdog.progress(done < all ? Phase::validate : Phase::exchange, 0);
  };
  const auto found = translate(*translator.decoder, translator.vocabularies, sentences.sources,
                               options, world.control());
  agree(world.control(), [&] {
    if (!writes) return;
    Translations translations{made_by, {}, sentences.references};
    for (const auto& one : found) translations.lines.push_back(one.front().text);
    replace_file(path, translations_text(translations));
    say(concat(path, ": ", score_text(translations), " of ", found.size(), " sentences"));
  });
  watchdog.stop();
}

}  // namespace bitstill
