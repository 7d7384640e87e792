// bitstill translate: lines of one language become lines of another.
#include "bitstill/infer/translate.hpp"

#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/output.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/infer/translated_shards.hpp"
#include "bitstill/metrics/bleu.hpp"
#include "bitstill/metrics/chrf.hpp"
#include "command.hpp"
#include "command_watch.hpp"
#include "device.hpp"
#include "translator.hpp"

namespace bitstill {
namespace {

struct Settings {
  std::string model_file, input, out, reference;
  std::string data_folder, shards;
  bool interpolate = false;
  TranslateOptions translate;
  bool scores = false;
  TrainPrecision precision = TrainPrecision::fp32;
  DeviceWish device = DeviceWish::cpu;
  int64_t threads = 0;
  CommandWatch watch;
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
  table.add(
      "shards", &s.shards,
      "instead of text: the folder to make of data.folder's shards, each pair of train with its "
      "translation as target; stopped, the same command continues");
  table.add("data.folder", &s.data_folder, "token shards, for --shards");
  table.add("interpolate", &s.interpolate,
            "of --shards: of the beam's translations the one nearest the target, by BLEU");
  table.add("batch-tokens", &s.translate.batch_tokens,
            "sentences x longest source x beam that are translated at once, at most");
  table.add("precision", &s.precision, "");
  table.add("run.device", &s.device, "");
  table.add("run.threads", &s.threads, "threads a rank; 0: the cores over the host's ranks");
  s.watch.add_settings(table);
}

void check(const Settings& s) {
  if (s.model_file.empty()) throw Error(ExitCode::settings, "model.file is not given");
  check(s.translate.search);
  if (s.shards.empty() != s.data_folder.empty()) {
    throw Error(ExitCode::settings,
                "shards and data.folder go together: the one is made of the other");
  }
  if (s.interpolate && s.shards.empty()) {
    throw Error(ExitCode::settings, "interpolate is of --shards; leave it out");
  }
  const bool text = !s.input.empty() || !s.out.empty() || !s.reference.empty() || s.scores;
  if (!s.shards.empty() && (text || s.translate.search.n_best > 1)) {
    throw Error(ExitCode::settings,
                "shards take no input, out, reference, scores or n-best; leave them out");
  }
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

TranslatedShardsOptions shards_options(World& world, const Settings& s,
                                       const Translator& translator, const Dataset& dataset) {
  TranslatedShardsOptions options;
  options.translate = s.translate;
  if (s.interpolate) options.translate.search.n_best = s.translate.search.beam;
  options.out = s.shards;
  options.interpolate = s.interpolate;
  options.made_by = {{"model", translator.sha256},
                     {"data", dataset.index().fingerprint},
                     {"beam", s.translate.search.beam},
                     {"length_penalty", s.translate.search.length_penalty},
                     {"most_tokens", s.translate.search.most_tokens},
                     {"interpolate", s.interpolate},
                     {"precision", word(s.precision)}};
  options.stop_requested = [&world] { return stop_requested_anywhere(world.control()); };
  return options;
}

/// The exit code. Collective.
int make_shards(World& world, Settings& s) {
  const auto dataset = open_dataset(world, s.data_folder, Holds::anything);
  if (dataset->index().content != Content::tokens) {
    throw AgreedError(ExitCode::settings,
                      concat(s.data_folder, ": holds images; --shards is for pairs of sentences"));
  }
  const Translator translator =
      load_translator(world, s.model_file, s.precision, s.translate.device, dataset.get());
  TranslatedShardsOptions options = shards_options(world, s, translator, *dataset);
  watch_signals();
  options.translate.progress = [&](int64_t done, int64_t all) { s.watch.progress(done == all); };
  ProgressBar bar("translate");
  options.progress = [&](int64_t done, int64_t all) { bar.show(done, all, "sentences"); };
  const TranslatedShards made = translate_shards(*translator.decoder, translator.vocabularies,
                                                 *dataset, options, world.control());
  bar.clear();
  s.watch.end();
  if (made.stopped) {
    say("stopped by a signal; the same command continues");
    return static_cast<int>(ExitCode::stopped);
  }
  if (world.place().rank == 0) {
    std::printf("%s: %lld targets of train translated, %lld tokens, BLEU %.2f to the old ones\n",
                s.shards.c_str(), static_cast<long long>(made.rows - made.kept),
                static_cast<long long>(made.tokens), made.bleu.score());
    if (made.taken_over > 0) say(concat(made.taken_over, " of them by an earlier command"));
    if (made.kept > 0) say(concat(made.kept, " keep theirs: their translation is empty"));
  }
  return 0;
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
                     "line's number and a tab.\nWith --shards OUT --data.folder SHARDS: what a "
                     "student learns from in sequence-level distillation.")) {
    return 0;
  }
  Communicator& control = world.control();
  s.watch.begin(world);
  const DeviceChoice device = choose_device(world, s.device, s.threads, false);
  s.translate.device = device.device;
  const bool speaks = world.place().rank == 0;
  agree(control, [&] { check(s); });
  if (!s.shards.empty()) return make_shards(world, s);
  const Translator translator =
      load_translator(world, s.model_file, s.precision, s.translate.device);
  speaks ? s.watch.patient() : s.watch.progress(true);
  const std::vector<std::string> lines = lines_for_all(world, s.input);
  std::vector<std::string> references;
  agree(control, [&] {
    if (!speaks || s.reference.empty()) return;
    references = read_lines(s.reference);
    require_as_many(s, references.size(), lines.size());
  });
  ProgressBar bar("translate");
  s.translate.progress = [&](int64_t done, int64_t all) {
    s.watch.progress(done == all);
    if (speaks) bar.show(done, all, "batches");
  };
  const auto translations =
      translate(*translator.decoder, translator.vocabularies, lines, s.translate, control);
  bar.clear();
  agree(control, [&] {
    if (!speaks) return;
    s.watch.patient();
    write_out(s, as_text(translations, s));
  });
  s.watch.end();
  if (!s.reference.empty() && speaks) say_scores(translations, references);
  return 0;
}

}  // namespace bitstill
