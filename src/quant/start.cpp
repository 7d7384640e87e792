#include "start.hpp"

#include <algorithm>
#include <cmath>

namespace bitstill {
namespace {

std::vector<float> uniform(int64_t points) {
  std::vector<float> result;
  const auto last = static_cast<float>(points - 1);
  for (int64_t j = 0; j < points; ++j) result.push_back(static_cast<float>(j) / last);
  return result;
}

std::vector<float> quantiles(const std::vector<float>& sorted, int64_t points) {
  std::vector<float> result;
  for (int64_t j = 0; j < points; ++j) {
    const double at = static_cast<double>(sorted.size() - 1) * static_cast<double>(j) /
                      static_cast<double>(points - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double part = at - static_cast<double>(below);
    result.push_back(static_cast<float>((1 - part) * sorted[below] + part * sorted[above]));
  }
  return result;
}

std::vector<float> kmeans(const std::vector<float>& sorted, int64_t points) {
  constexpr int kMostRounds = 100;
  std::vector<double> sums{0};  // of the first i values
  for (const float value : sorted) sums.push_back(sums.back() + value);
  std::vector<float> centers = uniform(points);
  for (int round = 0; round < kMostRounds; ++round) {
    bool moved = false;
    std::size_t begin = 0;
    for (std::size_t j = 0; j < centers.size(); ++j) {
      std::size_t end = sorted.size();
      if (j + 1 < centers.size()) {
        const double middle = (static_cast<double>(centers[j]) + centers[j + 1]) / 2;
        end = static_cast<std::size_t>(
            std::upper_bound(sorted.begin(), sorted.end(), static_cast<float>(middle)) -
            sorted.begin());
        end = std::max(begin, end);
      }
      if (end > begin) {
        const auto mean =
            static_cast<float>((sums[end] - sums[begin]) / static_cast<double>(end - begin));
        moved = moved || mean != centers[j];
        centers[j] = mean;
      }
      begin = end;
    }
    std::sort(centers.begin(), centers.end());
    if (!moved) break;
  }
  return centers;
}

}  // namespace

std::vector<float> start_points(PointStart how, std::vector<float> scaled, int64_t points) {
  if (how == PointStart::uniform) return uniform(points);
  std::sort(scaled.begin(), scaled.end());
  return how == PointStart::quantiles ? quantiles(scaled, points) : kmeans(scaled, points);
}

}  // namespace bitstill
