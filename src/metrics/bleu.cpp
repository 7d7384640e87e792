#include "bitstill/metrics/bleu.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "ngrams.hpp"

namespace bitstill {
namespace {

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// As Perl reads bytes: white space and letters are those of ASCII.
std::vector<std::string> words_lower(std::string_view line) {
  std::vector<std::string> words;
  bool within = false;
  for (const char c : line) {
    const bool space = is_ascii_space(c);
    if (!space && !within) words.emplace_back();
    within = !space;
    if (within) words.back() += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return words;
}

std::vector<std::string> words_of(std::string_view line, BleuKind kind) {
  return kind == BleuKind::sacre ? words_13a(line) : words_lower(line);
}

/// Numbers for words: equal ones have equal numbers.
class Numbers {
 public:
  std::vector<uint32_t> of(const std::vector<std::string>& words) {
    std::vector<uint32_t> numbers;
    for (const std::string& word : words) {
      numbers.push_back(known_.try_emplace(word, known_.size()).first->second);
    }
    return numbers;
  }

 private:
  std::map<std::string, uint32_t> known_;
};

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
  return *this;
}

double BleuCounts::brevity_penalty() const {
  if (words() >= reference_words()) return 1;
  if (words() == 0) return 0;
  return std::exp(1 - static_cast<double>(reference_words()) / static_cast<double>(words()));
}

double BleuCounts::score(BleuKind kind) const {
  if (matched(1) == 0) return 0;
  double sum = 0, smoothing = 1;
  for (std::size_t n = 1; n <= kOrders; ++n) {
    auto right = static_cast<double>(matched(n));
    if (runs(n) == 0 || (right == 0 && kind == BleuKind::multi)) return 0;
    if (right == 0) right = 1 / (smoothing *= 2);
    sum += std::log(100 * right / static_cast<double>(runs(n)));
  }
  return brevity_penalty() * std::exp(sum / kOrders);
}

BleuCounts bleu_counts(std::string_view hypothesis, std::string_view reference, BleuKind kind) {
  Numbers numbers;
  const std::vector<uint32_t> ours = numbers.of(words_of(hypothesis, kind));
  const std::vector<uint32_t> theirs = numbers.of(words_of(reference, kind));
  BleuCounts counts;
  for (std::size_t n = 1; n <= BleuCounts::kOrders; ++n) {
    const SharedRuns shared = shared_runs(ours, theirs, n);
    counts.sums[n - 1] = shared.matched;
    counts.sums[BleuCounts::kOrders + n - 1] = shared.hypothesis;
  }
  counts.sums[2 * BleuCounts::kOrders] = static_cast<int64_t>(ours.size());
  counts.sums[2 * BleuCounts::kOrders + 1] = static_cast<int64_t>(theirs.size());
  return counts;
}

std::string bleu_signature(BleuKind kind) {
  return kind == BleuKind::sacre ? "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
                                 : "multi-bleu.perl -lc";
}

}  // namespace bitstill
