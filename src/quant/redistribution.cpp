#include "bitstill/quant/redistribution.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitstill {
namespace {

int64_t most(const PointShare& tensor) {
  return std::max<int64_t>(2, std::min<int64_t>(256, tensor.weights / 2));
}

double total_importance(const std::vector<PointShare>& tensors) {
  double total = 0;
  for (const PointShare& tensor : tensors) total += tensor.importance;
  return total;
}

/// The points that a budget of `amount` adds to each tensor with room, by largest remainders.
std::vector<int64_t> shares(const std::vector<PointShare>& tensors, const std::vector<int64_t>& now,
                            int64_t amount) {
  std::vector<double> exact(tensors.size(), 0);
  double weight = 0;
  const bool even = total_importance(tensors) <= 0;
  const auto importance = [&](std::size_t t) {
    if (now[t] >= most(tensors[t])) return 0.0;
    return even ? 1.0 : tensors[t].importance;
  };
  for (std::size_t t = 0; t < tensors.size(); ++t) weight += importance(t);
  std::vector<int64_t> result(tensors.size(), 0);
  if (weight <= 0) return result;
  int64_t left = amount;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    exact[t] = static_cast<double>(amount) * importance(t) / weight;
    result[t] = static_cast<int64_t>(exact[t]);
    left -= result[t];
  }
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return exact[a] - std::floor(exact[a]) > exact[b] - std::floor(exact[b]);
  });
  for (const std::size_t t : order) {
    if (left == 0) break;
    if (importance(t) <= 0) continue;
    ++result[t];
    --left;
  }
  return result;
}

}  // namespace

std::vector<int64_t> redistribute_points(const std::vector<PointShare>& tensors) {
  std::vector<int64_t> now;
  int64_t budget = 0;
  for (const PointShare& tensor : tensors) {
    now.push_back(std::max<int64_t>(2, (tensor.points + 1) / 2));
    budget += tensor.points - now.back();
  }
  // What exceeds a tensor's most goes round again among the others.
  while (budget > 0) {
    const std::vector<int64_t> more = shares(tensors, now, budget);
    int64_t given = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const int64_t before = now[t];
      now[t] = std::min(most(tensors[t]), now[t] + more[t]);
      given += now[t] - before;
    }
    if (given == 0) {  // only tensors without importance have room left: evenly, in order
      for (std::size_t t = 0; t < tensors.size() && budget > given; ++t) {
        if (now[t] < most(tensors[t])) {
          ++now[t];
          ++given;
        }
      }
      if (given == 0) break;  // no room at all
    }
    budget -= given;
  }
  return now;
}

std::vector<int64_t> redistribute_bytes(const std::vector<PointShare>& tensors) {
  const std::vector<int64_t> wanted = redistribute_points(tensors);
  const auto bits = [&](const std::vector<int64_t>& points) {
    double sum = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      sum += static_cast<double>(tensors[t].weights) * std::log2(static_cast<double>(points[t]));
    }
    return sum;
  };
  std::vector<int64_t> before;
  for (const PointShare& tensor : tensors) before.push_back(tensor.points);
  const double budget = bits(before) * (1 + 1e-12);
  const auto scaled = [&](double factor) {
    std::vector<int64_t> points;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const auto size = static_cast<int64_t>(factor * static_cast<double>(wanted[t]));
      points.push_back(std::clamp<int64_t>(size, 2, most(tensors[t])));
    }
    return points;
  };
  double low = 0, high = 256;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (bits(scaled(middle)) <= budget ? low : high) = middle;
  }
  std::vector<int64_t> points = scaled(low);
  // What whole numbers left over, to the most important tensors that still fit.
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensors[a].importance > tensors[b].importance;
  });
  for (const std::size_t t : order) {
    while (points[t] < most(tensors[t])) {
      ++points[t];
      if (bits(points) <= budget) continue;
      --points[t];
      break;
    }
  }
  return points;
}

}  // namespace bitstill
