// bitstill evaluate on shards of sentences.
#pragma once

#include <string>
#include <vector>

#include "model_on_data.hpp"

namespace bitstill {

/// A model file, and the settings section that says what it does not say itself.
struct ScoredFile {
  std::string path, section;
  NetworkSpec settings;
};

/// Each file's perplexity and accuracy on target tokens, printed by rank 0, as JSON where asked.
/// Collective: every rank of world calls this.
void print_sentence_scores(World& world, const std::vector<ScoredFile>& files, Dataset& shards,
                           Split split, const at::Device& device, bool json);

}  // namespace bitstill
