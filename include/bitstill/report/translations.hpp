// What a run's shipped file made of a study's sentences, kept beside the run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

constexpr const char* kTranslationsFile = "translations.json";  // in the run's folder
constexpr uint64_t kMostTranslationsBytes = uint64_t{1} << 28;

struct Translations {
  Json made_by;  // the model file, the sentences and the search: whether the lines still hold
  std::vector<std::string> lines, references;  // as many of both
};

/// A file's text, and back. Error(data) naming `where` for what is none.
std::string translations_text(const Translations& translations);
Translations translations_from(const std::string& text, const std::string& where);

}  // namespace bitstill
