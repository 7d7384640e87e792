// What a folder of shards holds, in short.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/data/image_shape.hpp"

namespace bitstill {

enum class Split { train, validation, test };
constexpr int kSplits = 3;
template <>
struct WordsOf<Split> {
  using enum Split;
  static constexpr Word<Split> kTable[] = {
      {train, "train"}, {validation, "validation"}, {test, "test"}};
};

/// What a row is.
enum class Content { images, jpeg, tokens };
template <>
struct WordsOf<Content> {
  using enum Content;
  static constexpr Word<Content> kTable[] = {
      {images, "images"}, {jpeg, "jpeg"}, {tokens, "tokens"}};
};

constexpr int64_t kJpegChannels = 3;  // grey files are seen as colour

/// A SentencePiece model in a folder of token shards.
struct VocabularyFile {
  std::string file;  // plain name within the folder
  int64_t pieces = 0;
  std::string sha256;
  bool operator==(const VocabularyFile&) const = default;
};

/// Tokens of a split's sentences, without specials.
struct SentenceTotals {
  int64_t source_tokens = 0, target_tokens = 0, longest_source = 0, longest_target = 0;
  bool operator==(const SentenceTotals&) const = default;
};

/// What index.json says, apart from the check sums.
struct DataIndex {
  std::string name;  // "digits", "cifar10", ...
  Content content = Content::images;
  ImageShape row;    // of the rows; jpeg: height and width 0, each has its own
  ImageShape shape;  // of what a network sees: the rows', unless Dataset::prepare says otherwise
  std::vector<std::string> classes;
  Normalization normalization;
  std::array<int64_t, kSplits> count{};
  std::vector<VocabularyFile> vocabularies;  // tokens: one for both sides, or source's and target's
  std::array<SentenceTotals, kSplits> sentences{};  // tokens
  std::string split_rule;                           // how the splits came to be, in words
  std::string fingerprint;  // SHA-256 of index.json: equal on all ranks, stored in model files
};

}  // namespace bitstill
