// bitstill evaluate on shards of sentences.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model_on_data.hpp"

namespace bitstill {

/// A model file, and the settings section that says what it does not say itself.
struct ScoredFile {
  std::string path, section;
  NetworkSpec settings;
};

struct SentenceScoreOptions {
  Split split = Split::test;
  bool unigram = false;  // beside the files a model that knows how often each piece stands in train
  bool json = false;
  at::Device device = at::kCPU;
  std::function<void(bool waits)> progress;  // as EvaluateOptions'
};

/// Each file's perplexity and accuracy on target tokens, printed by rank 0. Collective: every rank
/// of world calls this.
void print_sentence_scores(World& world, const std::vector<ScoredFile>& files, Dataset& shards,
                           const SentenceScoreOptions& options);

}  // namespace bitstill
