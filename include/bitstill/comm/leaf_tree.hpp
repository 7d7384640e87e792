// One binary tree over numbered leaves (the micro-batches of a step), so that a floating-point sum
// has the same bits however the leaves lie on ranks.
//
// Node (level l, index i) covers leaves [i * 2^l, (i + 1) * 2^l) that exist; its value is the value
// of its left child plus that of its right child, or the left child's alone where the right one is
// empty. A rank holds consecutive leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

struct TreeNode {
  int level = 0;
  int64_t index = 0;
  bool operator==(const TreeNode&) const = default;
};

/// The tree's shape: rank r holds leaves [first[r], first[r + 1]); first has world + 1 entries,
/// from 0 upwards; a rank may hold none.
class LeafTree {
 public:
  explicit LeafTree(std::vector<int64_t> first);
  int64_t leaves() const { return first_.back(); }
  int64_t first_leaf(int rank) const { return first_[static_cast<std::size_t>(rank)]; }

  /// The rank that holds a leaf, 0 <= leaf < leaves().
  int owner(int64_t leaf) const;

  /// The additions a rank makes alone: what to do once leaf `leaf` (of this rank, given in order)
  /// is there. Partial sums form a stack; after pushing the leaf's value, `merges(leaf)` times the
  /// top is added to the one below it (below += top) and popped.
  int merges(int rank, int64_t leaf) const;
  /// The nodes left on `rank`'s stack, bottom first, after its last leaf; of nodes with equal value
  /// (right child empty) the highest is named.
  std::vector<TreeNode> partials(int rank) const;
  /// Greatest depth of that stack at any time.
  int stack_depth(int rank) const;

  /// Completes the sum across ranks. partials[k] points to `count` floats, the k-th of
  /// partials(rank) (they are overwritten); `result` receives the root's value on every rank; it
  /// may be partials[0]. No leaves at all: zeros. A parent's value arises on the rank of its left
  /// child, level by level from the left, which is one order for all ranks: no rank waits in a
  /// circle. Collective: every rank of comm calls this, in the same order.
  void sum(Communicator& comm, const std::vector<float*>& partials, float* result,
           int64_t count) const;

 private:
  /// Whether rank holds all existing leaves of the node.
  bool holds(int rank, const TreeNode& node) const;
  std::vector<int64_t> first_;
};

/// The sum over the leaves of a tree, `count` floats each, where ranks compute theirs one by one.
class LeafSum {
 public:
  LeafSum(const LeafTree& tree, int rank, int64_t count);
  /// Takes the rank's next leaf, in order.
  void add(const float* leaf);
  /// The tree's sum, the same bits on every rank, once all have added their leaves. Empties this.
  /// Collective: every rank of comm calls this, in the same order.
  std::vector<float> finish(Communicator& comm);

 private:
  LeafTree tree_;
  int rank_;
  int64_t next_;  // leaf
  int64_t count_;
  std::vector<std::vector<float>> stack_;  // partial sums, as merges() tells
};

}  // namespace bitstill
