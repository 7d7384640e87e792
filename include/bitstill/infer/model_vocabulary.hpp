// The vocabularies that a model file of sentences carries, so that text goes in and comes out.
//
// They are SentencePiece's .model files, byte for byte, as uint8 tensors of one dimension:
// "vocabulary.source" and "vocabulary.target", or where both are the same "vocabulary.joint". They
// count in the file's size and are no part of its network: whatever is made of the file carries
// them on (ModelFile::attached).
#pragma once

#include <memory>
#include <string>

#include "bitstill/data/vocabulary.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// One object where both sides have the same. Immutable, so thread-safe.
struct VocabularyPair {
  std::shared_ptr<const Vocabulary> source, target;
};

/// What a model file is to have as `attached` (Student::attach).
NamedTensors vocabulary_tensors(const Vocabulary& source, const Vocabulary& target);

/// Reads them back, for a network of sentences. Error(model) naming `where`: missing, no
/// SentencePiece models, of other pieces or other <s> and </s> than the network's.
VocabularyPair read_vocabularies(const NamedTensors& attached, const NetworkSpec& network,
                                 const std::string& where);

}  // namespace bitstill
