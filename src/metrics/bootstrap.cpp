#include "bitstill/metrics/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitstill {

BootstrapDifference bootstrap_difference(double difference, std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  const std::size_t outside = draws.size() / 40;  // 2.5 % at each end
  const auto count = static_cast<double>(draws.size());
  const double mean = std::accumulate(draws.begin(), draws.end(), 0.0) / count;
  // Draws lie around the difference that was found; moved to lie around 0, they show what chance
  // does where there is none.
  const auto as_large = std::count_if(draws.begin(), draws.end(), [&](double draw) {
    return std::abs(draw - mean) >= std::abs(difference);
  });
  return {difference, draws[outside], draws[draws.size() - 1 - outside],
          (static_cast<double>(as_large) + 1) / (count + 1)};
}

}  // namespace bitstill
