// BLEU of translations, by integer sums over sentences that are exact across ranks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/base/words.hpp"

namespace bitstill {

enum class BleuKind { sacre, multi };
template <>
struct WordsOf<BleuKind> {
  using enum BleuKind;
  static constexpr Word<BleuKind> kTable[] = {
      {sacre, "bleu", "sacrebleu's: 13a words, case kept, exponential smoothing"},
      {multi, "multi-bleu", "multi-bleu.perl -lc: words as they stand, lower-cased, not smoothed"}};
};

/// Sums over sentences for n = 1 to 4 words, one reference a sentence.
struct BleuCounts {
  static constexpr std::size_t kOrders = 4;
  /// Runs of n words that the reference has, too, [4]; runs in all, [4]; words; reference words.
  /// For adding up over ranks: comm.all_reduce(sums.data(), sums.size(), i64).
  std::array<int64_t, 2 * kOrders + 2> sums{};
  BleuCounts& operator+=(const BleuCounts& other);
  int64_t matched(std::size_t n) const { return sums[n - 1]; }
  int64_t runs(std::size_t n) const { return sums[kOrders + n - 1]; }
  int64_t words() const { return sums[2 * kOrders]; }
  int64_t reference_words() const { return sums[2 * kOrders + 1]; }
  double brevity_penalty() const;
  /// 0 to 100; 0 where no word matches.
  double score(BleuKind kind = BleuKind::sacre) const;
};

/// One sentence.
BleuCounts bleu_counts(std::string_view hypothesis, std::string_view reference,
                       BleuKind kind = BleuKind::sacre);

/// How the score is defined, as sacrebleu prints it ("nrefs:1|case:mixed|..."), of the version
/// whose scores these are.
std::string bleu_signature(BleuKind kind = BleuKind::sacre);

/// The words of a line as mteval-v13a.pl divides it, for languages in Latin letters.
std::vector<std::string> words_13a(std::string_view line);

}  // namespace bitstill
