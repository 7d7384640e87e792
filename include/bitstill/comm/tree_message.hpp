// The fixed order of a step's message: its sum over micro-batches as one tree, on a channel.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/leaf_tree.hpp"

namespace bitstill {

/// A rank's share of a part of the message.
struct TreePart {
  std::vector<float*>
      rows;               // partial sums of its leaves but the last, as LeafTree::merges left them
  float* last = nullptr;  // its last leaf, or nothing where it has none; becomes the sum
  int64_t count = 0;      // floats of each
  /// So many of the first ones are given by ranks without leaves too.
  int64_t flags = 0;
};

/// How many rows there are when the rank's last leaf comes.
int64_t rows_before_last(const LeafTree& tree, int rank);

/// Once the event has happened, part.last is the tree's sum on every rank, as LeafTree::sum has it.
/// `tree` and what `part` points to belong to the channel until then.
/// Collective: every rank of the channel calls this, in the same order.
EventPtr sum_by_tree(Channel& channel, const LeafTree& tree, TreePart part);

}  // namespace bitstill
