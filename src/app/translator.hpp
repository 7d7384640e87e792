// A model file of sentences, ready to translate, and lines of text on every rank.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/infer/translate.hpp"
#include "model_on_data.hpp"

namespace bitstill {

struct Translator {
  LoadedModel model;
  VocabularyPair vocabularies;
  std::unique_ptr<StepDecoder> decoder;
  std::string sha256;  // of the file
};

/// Of a file, or a run's folder, that fits the shards where there are some. Error(model) for what
/// does not, or does not translate. Collective.
Translator load_translator(World& world, const std::string& path, TrainPrecision precision,
                           const at::Device& device, const Dataset* shards = nullptr);

/// A file's sentences (empty: stdin's), which rank 0 reads, on every rank. Error(data) as
/// sentence_lines(). Collective.
std::vector<std::string> lines_for_all(World& world, const std::string& path);

}  // namespace bitstill
