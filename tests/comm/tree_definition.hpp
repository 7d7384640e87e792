// The sum that a leaf tree stands for, by its definition (comm/leaf_tree.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitstill {

/// Leaves [begin, begin + width) that exist, as one node; width is a power of two.
template <class LeafValues>
std::vector<float> node_value(int64_t begin, int64_t width, int64_t leaves,
                              const LeafValues& leaf_values) {
  if (width == 1) return leaf_values(begin);
  std::vector<float> left = node_value(begin, width / 2, leaves, leaf_values);
  if (begin + width / 2 >= leaves) return left;
  const auto right = node_value(begin + width / 2, width / 2, leaves, leaf_values);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

/// Of one leaf or more.
template <class LeafValues>
std::vector<float> tree_sum(int64_t leaves, const LeafValues& leaf_values) {
  int64_t width = 1;
  while (width < leaves) width *= 2;
  return node_value(0, width, leaves, leaf_values);
}

}  // namespace bitstill
