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
enum class Content { images, jpeg };
template <>
struct WordsOf<Content> {
  using enum Content;
  static constexpr Word<Content> kTable[] = {{images, "images"}, {jpeg, "jpeg"}};
};

constexpr int64_t kJpegChannels = 3;  // grey files are seen as colour

/// What index.json says, apart from the check sums.
struct DataIndex {
  std::string name;  // "digits", "cifar10", ...
  Content content = Content::images;
  ImageShape row;    // of the rows; jpeg: height and width 0, each has its own
  ImageShape shape;  // of what a network sees: the rows', unless Dataset::prepare says otherwise
  std::vector<std::string> classes;
  Normalization normalization;
  std::array<int64_t, kSplits> count{};
  std::string split_rule;   // how the splits came to be, in words
  std::string fingerprint;  // SHA-256 of index.json: equal on all ranks, stored in model files
};

}  // namespace bitstill
