#include "ngrams.hpp"

#include <algorithm>
#include <vector>

namespace bitstill {
namespace {

using Run = std::span<const uint32_t>;

bool less(const Run& a, const Run& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

std::vector<Run> sorted_runs(Run text, std::size_t n) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i + n <= text.size(); ++i) runs.push_back(text.subspan(i, n));
  std::sort(runs.begin(), runs.end(), less);
  return runs;
}

}  // namespace

SharedRuns shared_runs(Run hypothesis, Run reference, std::size_t n) {
  const std::vector<Run> ours = sorted_runs(hypothesis, n), theirs = sorted_runs(reference, n);
  std::vector<Run> common;
  std::set_intersection(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                        std::back_inserter(common), less);
  return {static_cast<int64_t>(ours.size()), static_cast<int64_t>(theirs.size()),
          static_cast<int64_t>(common.size())};
}

}  // namespace bitstill
