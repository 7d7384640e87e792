#include "resize_taps.hpp"

#include <algorithm>
#include <cmath>

namespace bitstill {

void find_taps(const Stretch& stretch, int64_t target, Taps* taps) {
  // In decoded pixels, from the one that holds the stretch's first pixel on.
  const int64_t shrink = stretch.shrink, ahead = stretch.first % shrink;
  const double step =
      static_cast<double>(stretch.source) / static_cast<double>(stretch.scaled * shrink);
  const double reach = std::max(step, 1.0);
  const double centre = static_cast<double>(ahead) / static_cast<double>(shrink) +
                        (static_cast<double>(stretch.begin + target) + 0.5) * step;
  auto low = static_cast<int64_t>(std::max(centre - reach + 0.5, 0.0));
  const auto end = std::min(static_cast<int64_t>(centre + (reach + 0.5)),
                            (ahead + stretch.source + shrink - 1) / shrink);
  taps->shares.clear();
  double sum = 0;
  for (int64_t i = low; i < end; ++i) {
    const double share = 1 - std::abs(static_cast<double>(i) + 0.5 - centre) / reach;
    if (share <= 0) {
      low += taps->shares.empty() ? 1 : 0;
      continue;
    }
    taps->shares.push_back(share);
    sum += share;
  }
  for (double& share : taps->shares) share /= sum;
  taps->first = stretch.first / shrink + low;
}

std::pair<int64_t, int64_t> source_range(const Stretch& stretch) {
  Taps first, last;
  find_taps(stretch, 0, &first);
  find_taps(stretch, stretch.count - 1, &last);
  return {first.first, last.first + static_cast<int64_t>(last.shares.size())};
}

void FixedTaps::fill(const Stretch& stretch) {
  constexpr int kOne = 1 << 16;
  const int64_t origin = source_range(stretch).first;
  places.clear();
  weights.clear();
  for (int64_t target = 0; target < stretch.count; ++target) {
    find_taps(stretch, target, &taps_);
    places.push_back({taps_.first - origin, weights.size(), taps_.shares.size()});
    // Each rounded so that the sum up to it is the nearest: what one loses the next one has.
    double sum = 0.5;
    int before = 0;
    for (const double share : taps_.shares) {
      sum += share * kOne;
      const auto until = static_cast<int>(sum);
      weights.push_back(static_cast<uint16_t>(std::min(until - before, kOne - 1)));
      before = until;
    }
  }
}

}  // namespace bitstill
