#include "opennmt.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

void write_pieces(const Vocabulary& vocabulary, const std::vector<std::string>& lines,
                  const std::string& path) {
  std::ofstream file(path);
  for (const std::string& line : lines) {
    std::string text;
    for (const int32_t id : vocabulary.encode(line)) {
      text += (text.empty() ? "" : " ") + vocabulary.piece(id);
    }
    file << text << "\n";
  }
}

void write_vocabulary(const Vocabulary& vocabulary, const std::string& path) {
  std::ofstream file(path);
  const int32_t own[] = {vocabulary.unknown(), vocabulary.begin(), vocabulary.end()};
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (std::find(std::begin(own), std::end(own), id) == std::end(own)) {
      file << vocabulary.piece(id) << "\t1\n";
    }
  }
}

/// It imports packages that it does not use here: empty ones do.
void write_modules(const std::string& folder) {
  for (const char* const name : {"spacy", "fasttext"}) {
    std::filesystem::create_directory(concat(folder, "/", name));
    std::ofstream(concat(folder, "/", name, "/__init__.py"));
  }
}

}  // namespace

std::vector<double> peer_rates(const std::string& begin, const std::string& output) {
  std::vector<double> rates = numbers_before(" tgt tok/CPU-s", begin, output);
  if (!rates.empty()) return rates;
  throw Error(ExitCode::environment, concat("the peer printed no line of ", begin));
}

OpenNmt::OpenNmt(const SentenceData& data)
    : trainer_("onmt_train.py"), translator_("onmt_translate.py") {
  absent_ = trainer_.absent().empty() ? translator_.absent() : trainer_.absent();
  if (!absent_.empty()) return;
  const std::string& folder = folder_.path();
  for (const char* const name : {"train.en", "train.de", "val.en", "val.de"}) {
    write_pieces(data.vocabulary(), lines_of(concat(data.text(), "/", name)),
                 concat(folder, "/", name));
  }
  std::vector<std::string> lines = lines_of(data.text() + "/val.en");
  lines.resize(kLines);
  write_pieces(data.vocabulary(), lines, folder + "/t.en");
  write_vocabulary(data.vocabulary(), folder + "/vocab.txt");
  write_modules(folder);
  try {
    run_training(1, 256, 2, 1);
  } catch (const Error& error) {  // what it imports is not there
    absent_ = error.what();
    return;
  }
  // As the script knows it.
  std::filesystem::rename(folder + "/run/m_step_2.pt", folder + "/run/m_step_40.pt");
}

std::string OpenNmt::run_training(int64_t layers, int64_t size, int64_t steps,
                                  int64_t interval) const {
  const std::string deep = std::to_string(layers), wide = std::to_string(size);
  const char* const peers = std::getenv("BITSTILL_PEERS");
  return trainer_
      .run_in(folder_.path(),
              {"-config", concat(peers == nullptr ? "." : peers, "/onmt.yaml"), "-enc_layers", deep,
               "-dec_layers", deep, "-hidden_size", wide, "-word_vec_size", wide, "-train_steps",
               std::to_string(steps), "-report_every", std::to_string(interval)})
      .output;
}

double OpenNmt::train(int64_t layers, int64_t size, int64_t steps) const {
  const std::vector<double> rates = peer_rates("CPU", run_training(layers, size, 2 * steps, steps));
  std::filesystem::remove(concat(folder_.path(), "/run/m_step_", 2 * steps, ".pt"));
  if (rates.size() == 2) return rates.back();
  throw Error(ExitCode::environment,
              concat("onmt_train.py printed ", rates.size(), " intervals where 2 were asked for"));
}

double OpenNmt::translate(int64_t beam) const {
  const Finished run = translator_.run_in(folder_.path(), {std::to_string(beam)});
  return peer_rates("ONMT", run.output).front();
}

const OpenNmt& opennmt() {
  static const OpenNmt peer(sentence_data());
  return peer;
}

}  // namespace bitstill
