#include "bitstill/comm/tree_message.hpp"

#include <utility>

namespace bitstill {
namespace {

bool has_leaves(const LeafTree& tree, int rank) {
  return tree.first_leaf(rank + 1) > tree.first_leaf(rank);
}

/// Ranks without leaves have no part in a tree: the owner of the first leaf adds their flags to its
/// own.
void collect_flags(Communicator& comm, const LeafTree& tree, float* flags, int64_t count) {
  const int owner = tree.owner(0);
  if (!has_leaves(tree, comm.rank())) comm.send(flags, count, ElementType::f32, owner);
  if (comm.rank() != owner) return;
  std::vector<float> theirs(static_cast<std::size_t>(count));
  for (int rank = 0; rank < comm.world(); ++rank) {
    if (has_leaves(tree, rank)) continue;
    comm.receive(theirs.data(), count, ElementType::f32, rank);
    for (int64_t k = 0; k < count; ++k) flags[k] += theirs[static_cast<std::size_t>(k)];
  }
}

void sum(Communicator& comm, const LeafTree& tree, TreePart part) {
  const int rank = comm.rank();
  if (part.flags > 0) collect_flags(comm, tree, part.last, part.flags);
  if (has_leaves(tree, rank)) {
    for (int merges = tree.merges(rank, tree.first_leaf(rank + 1) - 1); merges > 0; --merges) {
      const float* below = part.rows.back();
      for (int64_t i = 0; i < part.count; ++i) part.last[i] = below[i] + part.last[i];
      part.rows.pop_back();
    }
    part.rows.push_back(part.last);
  }
  tree.sum(comm, part.rows, part.last, part.count);
}

}  // namespace

int64_t rows_before_last(const LeafTree& tree, int rank) {
  int64_t rows = 0;
  for (int64_t leaf = tree.first_leaf(rank); leaf + 1 < tree.first_leaf(rank + 1); ++leaf) {
    rows += 1 - tree.merges(rank, leaf);
  }
  return rows;
}

EventPtr sum_by_tree(Channel& channel, const LeafTree& tree, TreePart part) {
  return channel.enqueue(
      [&tree, part = std::move(part)](Communicator& comm) { sum(comm, tree, part); });
}

}  // namespace bitstill
