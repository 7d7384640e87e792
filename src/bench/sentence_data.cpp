#include "sentence_data.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "bitstill/data/convert_text.hpp"
#include "bitstill/data/dataset.hpp"

namespace bitstill {
namespace {

constexpr uint64_t kTrainPairs = 29'000, kValidationPairs = 1'014;
constexpr uint64_t kWords = 20'000;  // of each language
constexpr const char* kSyllables[] = {"ba", "dor", "el", "fi",  "gran", "hu",  "ik",  "jal",
                                      "ko", "lem", "mi", "nor", "ost",  "pra", "qui", "ran",
                                      "su", "tel", "un", "vor", "wei",  "xan", "yr",  "zum"};

/// A word's number, the lower the more frequent: about as Zipf's law has it.
uint64_t draw_word(RandomStream* stream) {
  return static_cast<uint64_t>(std::pow(static_cast<double>(kWords), stream->uniform())) - 1;
}

std::string made_word(uint64_t number, int side) {
  RandomStream stream(1, StreamPurpose::split, number, static_cast<uint32_t>(side) + 1);
  std::string word;
  for (uint64_t left = 1 + stream.below(3); left > 0; --left) {
    word += kSyllables[stream.below(std::size(kSyllables))];
  }
  return word;
}

/// Of both sides: log-normal, 12 in the middle; a standard normal number as a sum of twelve.
int64_t draw_length(RandomStream* stream) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += stream->uniform();
  return std::clamp<int64_t>(std::lround(12 * std::exp(0.33 * sum)), 4, 40);
}

void make_text(const std::string& folder) {
  uint64_t next = 0;
  for (const auto& [name, count] :
       {std::pair{"train", kTrainPairs}, std::pair{"val", kValidationPairs}}) {
    std::ofstream source(concat(folder, "/", name, ".en")),
        target(concat(folder, "/", name, ".de"));
    for (const uint64_t end = next + count; next < end; ++next) {
      source << made_sentence(next, 0) << "\n";
      target << made_sentence(next, 1) << "\n";
    }
  }
}

/// Where the archive is; empty: it is not.
std::string archive() {
  const char* const folder = std::getenv("BITSTILL_DATA");
  const std::string path = concat(folder == nullptr ? "" : folder, "/multi30k_en-de.tar.xz");
  return folder != nullptr && std::filesystem::exists(path) ? path : "";
}

}  // namespace

std::string made_sentence(uint64_t number, int side) {
  RandomStream lengths(2, StreamPurpose::split, number);  // one for both sides
  RandomStream words(3, StreamPurpose::split, number, static_cast<uint32_t>(side));
  int64_t left = draw_length(&lengths);
  if (side == 1) left = std::max<int64_t>(3, left - 2 + static_cast<int64_t>(words.below(5)));
  std::string text;
  for (; left > 0; --left) {
    text += (text.empty() ? "" : " ") + made_word(draw_word(&words), side);
  }
  return text + ".";
}

SentenceData::SentenceData()
    : text_(folder_.path() + "/text"), shards_(folder_.path() + "/shards") {
  const std::string packed = archive();
  real_ = !packed.empty();
  say(concat("sentences: ", origin(), ", vocabulary of ", kPieces));
  std::filesystem::create_directory(text_);
  if (real_) {
    run_program({"tar", "-xJf", packed, "-C", text_, "--strip-components=1"});
  } else {
    make_text(text_);
  }
  TextOptions options;
  options.source = text_ + "/train.en," + text_ + "/train.de";
  options.validation_source = text_ + "/val.en," + text_ + "/val.de";
  options.test = 0;
  options.out = shards_;
  options.vocabulary = concat("unigram:", kPieces);
  convert_text(options);
  vocabulary_ = std::make_unique<Vocabulary>(read_vocabulary(shards_, Dataset(shards_).index(), 0));
}

std::string SentenceData::origin() const {
  return real_ ? "Multi30k, English to German"
               : "pairs of made words, about as long as Multi30k's (BITSTILL_DATA, the folder of "
                 "multi30k_en-de.tar.xz, is not set)";
}

const SentenceData& sentence_data() {
  static const SentenceData data;
  return data;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

NetworkSpec lstm_spec(int64_t layers, int64_t size, int64_t pieces, const TargetEnds& ends) {
  NetworkSpec spec;
  spec.kind = "lstm";
  spec.layers = layers;
  spec.size = size;
  spec.bidirectional = true;
  spec.source_pieces = spec.classes = pieces;
  spec.ends = ends;
  return spec;
}

}  // namespace bitstill
