// Made pairs of sentences for tests of text.
#pragma once

#include <string>
#include <vector>

#include "bitstill/data/convert_text.hpp"
#include "data_fixture.hpp"

namespace bitstill {

struct MadePair {
  std::string source, target;
};

/// All different; umlauts and punctuation among them; 4 to 12 words.
inline std::vector<MadePair> made_pairs(std::size_t count, uint64_t seed) {
  const std::vector<std::string> english = {"dog",   "house", "river",  "green",  "walks",
                                            "under", "seven", "bridge", "yellow", "quickly",
                                            "the",   "zebra", "jumps",  "very",   "fox"};
  const std::vector<std::string> german = {"Hund", "Häuser", "Fluß",    "grün", "läuft",
                                           "über", "sieben", "Brücke",  "gelb", "schnell",
                                           "die",  "Zebra",  "springt", "sehr", "Füchse"};
  RandomStream stream(seed, StreamPurpose::split);
  std::vector<MadePair> pairs;
  for (std::size_t i = 0; i < count; ++i) {
    MadePair pair{"Line " + std::to_string(i), "Zeile " + std::to_string(i)};
    for (uint64_t words = 2 + stream.below(9); words > 0; --words) {
      const std::size_t word = stream.below(english.size());
      pair.source += " " + english[word];
      pair.target += " " + german[word];
    }
    pairs.push_back({pair.source + ".", pair.target + "."});
  }
  return pairs;
}

/// FOLDER/NAME.en and FOLDER/NAME.de; "FOLDER/NAME.en,FOLDER/NAME.de".
inline std::string put_pairs(const std::string& name, const std::vector<MadePair>& pairs) {
  std::string sources, targets;
  for (const MadePair& pair : pairs) {
    sources += pair.source + "\n";
    targets += pair.target + "\n";
  }
  put_file(name + ".en", sources);
  put_file(name + ".de", targets);
  return name + ".en," + name + ".de";
}

inline TextOptions text_options(const std::string& source, const std::string& out) {
  TextOptions options;
  options.source = source;
  options.out = out;
  options.vocabulary = "unigram:80";
  return options;
}

}  // namespace bitstill
