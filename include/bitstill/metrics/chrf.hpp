// chrF2 of translations, by integer sums over sentences that are exact across ranks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitstill {

/// Sums over sentences for n = 1 to 6 characters, one reference a sentence.
struct ChrfCounts {
  static constexpr std::size_t kOrders = 6;
  /// For each n: runs of n characters, in the reference, in both. For adding up over ranks.
  std::array<int64_t, 3 * kOrders> sums{};
  ChrfCounts& operator+=(const ChrfCounts& other);
  /// 0 to 100: recall weighs twice as much as precision, each a mean over n.
  double score() const;
};

/// One sentence; white space does not count.
ChrfCounts chrf_counts(std::string_view hypothesis, std::string_view reference);

/// As bleu_signature().
std::string chrf_signature();

}  // namespace bitstill
