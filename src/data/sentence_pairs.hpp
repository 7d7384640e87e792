// Pairs of sentences as files hold them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "bitstill/data/convert_text.hpp"

namespace bitstill {

struct SentencePair {
  std::string_view source, target;
};

/// Owns the files' texts, which the pairs point into.
class SentencePairs {
 public:
  SentencePairs() = default;
  /// Reads a list of files as TextOptions has it; pairs with an empty side are left out, where
  /// `whole` refused. Faults are added to *left_out. Error(data) as convert_text says.
  SentencePairs(const std::string& list, bool whole, bool skip_bad,
                std::array<int64_t, kPairFaults>* left_out);

  const std::vector<SentencePair>& pairs() const { return pairs_; }

 private:
  struct Reading;
  std::deque<std::string> texts_;  // stays where it is
  std::vector<SentencePair> pairs_;
};

/// "a,b" -> {"a", "b"}
std::vector<std::string> comma_parts(const std::string& list);

}  // namespace bitstill
