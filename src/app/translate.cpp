// bitstill translate: lines of one language become lines of another.
#include "bitstill/infer/translate.hpp"

#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/output.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/metrics/bleu.hpp"
#include "bitstill/metrics/chrf.hpp"
#include "command.hpp"
#include "device.hpp"
#include "translator.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string model_file, input, out, reference;
  TranslateOptions translate;
  bool scores = false;
  TrainPrecision precision = TrainPrecision::fp32;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
};

void add_settings(SettingTable& table, Settings& s) {
  table.add("model.file", &s.model_file,
            "a model of sentences: compressed student, checkpoint, master or a run's folder");
  table.add("input", &s.input, "a file of sentences in UTF-8, a line each; without it stdin");
  table.add("out", &s.out, "the file to write; without it stdout");
  table.add_section("", s.translate.search);
  table.add("scores", &s.scores, "before each translation what ranks it, and a tab");
  table.add("reference", &s.reference,
            "a file of right translations, a line each: prints BLEU and chrF2 of the best ones");
  table.add("batch-tokens", &s.translate.batch_tokens,
            "sentences x longest source x beam that are translated at once, at most");
  table.add("precision", &s.precision, "");
  table.add("run.device", &s.device, "");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
}

void check(const Settings& s) {
  if (s.model_file.empty()) throw Error(ExitCode::settings, "model.file is not given");
  check(s.translate.search);
  if (s.translate.batch_tokens >= 1) return;
  throw Error(ExitCode::settings,
              concat("batch-tokens = ", s.translate.batch_tokens, ": give 1 or more"));
}

std::vector<std::string> read_lines(const std::string& path) {
  return sentence_lines(read_file(path, ExitCode::data), path);
}

/// Lines with the number of their source, where there are several of one.
std::string as_text(const std::vector<std::vector<Translation>>& translations, const Settings& s) {
  std::string text;
  for (std::size_t i = 0; i < translations.size(); ++i) {
    for (const Translation& one : translations[i]) {
      if (s.translate.search.n_best > 1) text += concat(i + 1, "\t");
      if (s.scores) {
        char score[64];
        std::snprintf(score, sizeof score, "%.6f\t", one.normalized);
        text += score;
      }
      text += one.text + "\n";
    }
  }
  return text;
}

void write_out(const Settings& s, const std::string& text) {
  if (!s.out.empty()) {
    replace_file(s.out, text);
    return;
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  flush_output();
}

void say_scores(const std::vector<std::vector<Translation>>& translations,
                const std::vector<std::string>& references) {
  BleuCounts bleu, multi;
  ChrfCounts chrf;
  for (std::size_t i = 0; i < references.size(); ++i) {
    const std::string& line = translations[i].front().text;
    bleu += bleu_counts(line, references[i]);
    multi += bleu_counts(line, references[i], BleuKind::multi);
    chrf += chrf_counts(line, references[i]);
  }
  const auto line = [](const char* name, double score, const std::string& signature) {
    char text[32];
    std::snprintf(text, sizeof text, "%s %.2f ", name, score);
    say(text + signature);
  };
  line("BLEU", bleu.score(), bleu_signature());
  line("BLEU", multi.score(BleuKind::multi), bleu_signature(BleuKind::multi));
  line("chrF2", chrf.score(), chrf_signature());
}

void require_as_many(const Settings& s, std::size_t references, std::size_t lines) {
  if (references == lines) return;
  throw Error(ExitCode::data, concat(s.reference, " has ", references, " lines, ",
                                     s.input.empty() ? "stdin" : s.input, " has ", lines,
                                     ": they are not translations of each other"));
}

}  // namespace

int run_translate(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  add_settings(table, s);
  if (!read_settings(world, table, arguments,
                     "bitstill translate --model.file FILE <TEXT: a line of translation for each "
                     "line, over all ranks.\nWith n-best above 1 each is preceded by its source "
                     "line's number and a tab.")) {
    return 0;
  }
  Communicator& control = world.control();
  const DeviceChoice device = choose_device(world, s.device, s.threads, false);
  s.translate.device = device.device;
  const bool speaks = world.place().rank == 0;
  agree(control, [&] { check(s); });
  const Translator translator =
      load_translator(world, s.model_file, s.precision, s.translate.device);
  const std::vector<std::string> lines = lines_for_all(world, s.input);
  std::vector<std::string> references;
  agree(control, [&] {
    if (!speaks || s.reference.empty()) return;
    references = read_lines(s.reference);
    require_as_many(s, references.size(), lines.size());
  });
  ProgressBar bar("translate");
  if (speaks) {
    s.translate.progress = [&](int64_t done, int64_t all) { bar.show(done, all, "batches"); };
  }
  const auto translations =
      translate(*translator.decoder, translator.vocabularies, lines, s.translate, control);
  bar.clear();
  agree(control, [&] {
    if (speaks) write_out(s, as_text(translations, s));
  });
  if (!s.reference.empty() && speaks) say_scores(translations, references);
  return 0;
}

}  // namespace bitstill
