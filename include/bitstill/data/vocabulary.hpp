// Sentences to numbers and back: SentencePiece's models, trained here or elsewhere.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/data/data_index.hpp"

namespace bitstill {

constexpr uint64_t kMostModelBytes = uint64_t{1} << 28;  // of a .model

enum class VocabularyKind { unigram, bpe, words };
template <>
struct WordsOf<VocabularyKind> {
  using enum VocabularyKind;
  static constexpr Word<VocabularyKind> kTable[] = {
      {unigram, "unigram", "pieces of words, the likeliest"},
      {bpe, "bpe", "pieces of words, by merging"},
      {words, "words", "whole words, at most so many"}};
};

/// What a vocabulary is to be: trained, or an existing model's file.
struct VocabularySpec {
  VocabularyKind kind = VocabularyKind::unigram;
  int64_t pieces = 0;  // 0: `file` is one
  std::string file;
};
/// "unigram:8000", or a file's path. Error(settings) names `setting`.
VocabularySpec parse_vocabulary_spec(const std::string& text, const std::string& setting);

/// One model; immutable, so thread-safe.
class Vocabulary {
 public:
  /// Of a .model's bytes; Error(data) naming `where` when they are none, or one without <unk>, <s>
  /// and </s>.
  Vocabulary(std::string bytes, const std::string& where);
  ~Vocabulary();
  Vocabulary(Vocabulary&&) noexcept;
  Vocabulary& operator=(Vocabulary&&) noexcept;

  const std::string& bytes() const { return bytes_; }
  int64_t size() const;
  int32_t unknown() const;  // ids of <unk>, <s>, </s>
  int32_t begin() const;
  int32_t end() const;
  std::string piece(int32_t id) const;
  /// Of a text in UTF-8, without specials.
  std::vector<int32_t> encode(std::string_view text) const;
  /// The text again, specials left out; ids within size().
  std::string decode(std::span<const int32_t> ids) const;

 private:
  struct State;
  std::string bytes_;
  std::unique_ptr<State> state_;
};

/// Trains on sentences; the same ones give the same model on any machine. Error(settings) where it
/// cannot be: more pieces than the text has, fewer than its letters.
Vocabulary train_vocabulary(const VocabularySpec& spec,
                            const std::vector<std::string_view>& sentences);

/// The source's (side 0) or target's (side 1) of a folder of token shards, checked against its
/// index. Error(data).
Vocabulary read_vocabulary(const std::string& folder, const DataIndex& index, std::size_t side);

}  // namespace bitstill
