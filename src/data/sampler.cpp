#include "bitstill/data/sampler.hpp"

#include <numeric>
#include <utility>

#include "bitstill/base/random.hpp"

namespace bitstill {

std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  RandomStream stream(seed, StreamPurpose::order, static_cast<uint64_t>(epoch));
  for (std::size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[stream.below(left)]);
  }
  return order;
}

}  // namespace bitstill
