// bitstill shard --vocabulary: pairs of sentences become a folder of token shards.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/data/convert.hpp"
#include "bitstill/data/data_index.hpp"

namespace bitstill {

/// Lists of files, divided by commas: source,target, or several such pairs one behind the other, or
/// a single file with a tab between the two sentences of a line; as they are or gzipped.
struct TextOptions {
  std::string source;             // --source: what is trained on
  std::string validation_source;  // --validation-source, --test-source: empty: cut from source
  std::string test_source;
  std::string out;               // --out: the folder to make
  std::string name;              // --name: empty: the first file's
  std::string vocabulary;        // --vocabulary: a spec (vocabulary.hpp) for both sides, or two
  int64_t most_length = 250;     // --most-length: tokens of a sentence; 0: any
  double most_ratio = 9;         // --most-ratio: of the sides' tokens; 0: any
  bool keep_duplicates = false;  // --keep-duplicates
  bool skip_bad = false;         // --skip-bad
  int64_t validation = -1;       // --validation, --test: pairs cut; -1: a tenth, 1 to 2,000
  int64_t test = -1;
  int64_t rows_per_shard = 0;  // --rows: 0: about 64 MB a shard
  bool operator==(const TextOptions&) const = default;
};

/// Why a pair was left out. Training pairs alone are; what the source calls a validation or test
/// set, or was cut as such, is kept whole.
enum class PairFault { empty, duplicate, too_long, uneven, not_utf8, zero_byte, over_1_mb, no_tab };
template <>
struct WordsOf<PairFault> {
  using enum PairFault;
  static constexpr Word<PairFault> kTable[] = {{empty, "with an empty side"},
                                               {duplicate, "seen before"},
                                               {too_long, "longer than --most-length"},
                                               {uneven, "over --most-ratio"},
                                               {not_utf8, "without valid UTF-8"},
                                               {zero_byte, "with a NUL byte"},
                                               {over_1_mb, "over 1 MB"},
                                               {no_tab, "without one tab"}};
};
constexpr std::size_t kPairFaults = std::size(WordsOf<PairFault>::kTable);

/// What forbids a line as a sentence, apart from being empty: no UTF-8, NUL, above 1 MB.
std::optional<PairFault> fault_of(std::string_view sentence);

struct TextReport {
  std::string folder, name, split_rule;
  std::vector<VocabularyFile> vocabularies;
  std::array<int64_t, kSplits> count{};
  std::array<SentenceTotals, kSplits> sentences{};
  std::array<int64_t, kPairFaults> left_out{};
  int64_t unknown = 0;  // tokens <unk>, of all splits
  int64_t twins = 0;    // validation and test pairs that also stand in train
  double seconds = 0;
};

/// Converts on rank 0; the others wait. Error(settings) for options that do not fit, Error(data)
/// naming file and line for what is wrong with the source: lists of unequal lines, an empty file,
/// CR LF, and unless bad lines are skipped NUL, more than 1 MB, no UTF-8, no tab. Error(storage).
TextReport convert_text(const TextOptions& options, const ConvertRanks& ranks = convert_alone());

}  // namespace bitstill
