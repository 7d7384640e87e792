// Sentence pairs that the rows of translation are measured on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitstill/data/vocabulary.hpp"
#include "bitstill/model/network.hpp"
#include "temporary_folder.hpp"

namespace bitstill {

/// English and German of Multi30k where BITSTILL_DATA names the folder of multi30k_en-de.tar.xz,
/// else pairs of made words, as many and about as long. A folder of shards (train, validation) with
/// one vocabulary for both sides, and the same pairs as text.
class SentenceData {
 public:
  static constexpr int64_t kPieces = 8000;
  SentenceData();

  /// FOLDER/train.en, train.de, val.en, val.de: a sentence a line.
  const std::string& text() const { return text_; }
  const std::string& shards() const { return shards_; }
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  std::string vocabulary_file() const { return shards_ + "/vocabulary.model"; }
  /// For a row's conditions.
  std::string origin() const;

 private:
  TemporaryFolder folder_;
  std::string text_, shards_;
  bool real_ = false;
  std::unique_ptr<Vocabulary> vocabulary_;
};

/// Made at the first call, gone at the program's end.
const SentenceData& sentence_data();

/// Its lines.
std::vector<std::string> lines_of(const std::string& path);

/// A sentence of made words, of about as many as Multi30k's have: the `number`-th pair's source
/// (side 0) or target.
std::string made_sentence(uint64_t number, int side);

/// An LSTM with attention, as the peers build it: an encoder of both directions, input feeding.
NetworkSpec lstm_spec(int64_t layers, int64_t size, int64_t pieces, const TargetEnds& ends);

}  // namespace bitstill
