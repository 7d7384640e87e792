#include "bitstill/metrics/chrf.hpp"

#include <vector>

#include "bitstill/base/utf8.hpp"
#include "ngrams.hpp"

namespace bitstill {
namespace {

constexpr double kBeta = 2;

std::vector<uint32_t> characters(std::string_view text) {
  std::vector<uint32_t> codes = code_points(text);
  std::erase_if(codes, is_white_space);
  return codes;
}

}  // namespace

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
  return *this;
}

double ChrfCounts::score() const {
  double precision = 0, recall = 0, orders = 0;
  for (std::size_t n = 0; n < kOrders; ++n) {
    const int64_t* sum = &sums[3 * n];
    if (sum[0] == 0 || sum[1] == 0) continue;  // texts shorter than n
    precision += static_cast<double>(sum[2]) / static_cast<double>(sum[0]);
    recall += static_cast<double>(sum[2]) / static_cast<double>(sum[1]);
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  constexpr double kSquare = kBeta * kBeta;
  return 100 * (1 + kSquare) * precision * recall / (kSquare * precision + recall);
}

ChrfCounts chrf_counts(std::string_view hypothesis, std::string_view reference) {
  const std::vector<uint32_t> ours = characters(hypothesis), theirs = characters(reference);
  ChrfCounts counts;
  for (std::size_t n = 1; n <= ChrfCounts::kOrders; ++n) {
    const SharedRuns shared = shared_runs(ours, theirs, n);
    int64_t* sum = &counts.sums[3 * (n - 1)];
    // Where the reference is shorter than n, no run could have been right.
    sum[0] = shared.reference > 0 ? shared.hypothesis : 0;
    sum[1] = shared.reference;
    sum[2] = shared.matched;
  }
  return counts;
}

std::string chrf_signature() {
  return "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0";
}

}  // namespace bitstill
