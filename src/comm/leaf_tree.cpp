#include "bitstill/comm/leaf_tree.hpp"

#include <algorithm>
#include <functional>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

/// Floats that travel at once: bounds the memory that a sum needs beside its partials.
constexpr int64_t kPiece = 1 << 18;

/// A node whose value this rank has, in its partials[slot].
struct Holding {
  TreeNode node;
  std::size_t slot = 0;
};

void send(Communicator& comm, const float* values, int64_t count, int to) {
  for (int64_t at = 0; at < count; at += kPiece) {
    comm.send(values + at, std::min(kPiece, count - at), ElementType::f32, to);
  }
}

/// total += what rank `from` sends.
void receive(Communicator& comm, float* total, int64_t count, int from) {
  std::vector<float> buffer(static_cast<std::size_t>(std::min(kPiece, count)));
  for (int64_t at = 0; at < count; at += kPiece) {
    const int64_t length = std::min(kPiece, count - at);
    comm.receive(buffer.data(), length, ElementType::f32, from);
    for (int64_t i = 0; i < length; ++i) total[at + i] += buffer[static_cast<std::size_t>(i)];
  }
}

}  // namespace

LeafTree::LeafTree(std::vector<int64_t> first) : first_(std::move(first)) {
  if (first_.size() < 2 || first_.front() != 0 || !std::is_sorted(first_.begin(), first_.end())) {
    throw Error(ExitCode::environment, "leaf tree: first leaves must ascend from 0");
  }
}

int LeafTree::owner(int64_t leaf) const {
  return static_cast<int>(std::upper_bound(first_.begin(), first_.end(), leaf) - first_.begin()) -
         1;
}

bool LeafTree::holds(int rank, const TreeNode& node) const {
  const int64_t begin = node.index << node.level;
  const int64_t end = std::min((node.index + 1) << node.level, leaves());
  const auto r = static_cast<std::size_t>(rank);
  return begin >= first_[r] && end <= first_[r + 1];
}

int LeafTree::merges(int rank, int64_t leaf) const {
  int additions = 0;
  TreeNode node{0, leaf};
  while ((INT64_C(1) << node.level) < leaves()) {  // below the root
    const TreeNode parent{node.level + 1, node.index / 2};
    const bool complete = std::min((parent.index + 1) << parent.level, leaves()) == leaf + 1;
    if (!complete || !holds(rank, parent)) break;
    if (node.index % 2 == 1) ++additions;
    node = parent;
  }
  return additions;
}

std::vector<TreeNode> LeafTree::partials(int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  std::vector<TreeNode> nodes;
  for (int64_t at = first_[r]; at < first_[r + 1];) {
    TreeNode node{0, at};  // the highest node that begins at this leaf
    while ((INT64_C(1) << node.level) < leaves() && node.index % 2 == 0 &&
           holds(rank, {node.level + 1, node.index / 2})) {
      node = {node.level + 1, node.index / 2};
    }
    nodes.push_back(node);
    at = std::min((node.index + 1) << node.level, leaves());
  }
  return nodes;
}

int LeafTree::stack_depth(int rank) const {
  const auto r = static_cast<std::size_t>(rank);
  int depth = 0, greatest = 0;
  for (int64_t leaf = first_[r]; leaf < first_[r + 1]; ++leaf) {
    greatest = std::max(greatest, ++depth);
    depth -= merges(rank, leaf);
  }
  return greatest;
}

void LeafTree::sum(Communicator& comm, const std::vector<float*>& partials_in, float* result,
                   int64_t count) const {
  if (leaves() == 0) {
    std::fill(result, result + count, 0.0f);
    return;
  }
  // A node's value arises on the rank of its first leaf, so that a rank knows its partners from its
  // own nodes: levels, not ranks, are what it walks.
  const int rank = comm.rank();
  std::vector<Holding> row;
  for (const TreeNode& node : partials(rank)) row.push_back({node, row.size()});
  for (int level = 0; (INT64_C(1) << level) < leaves() && !row.empty(); ++level) {
    std::vector<Holding> above;
    for (const Holding& holding : row) {
      const TreeNode& node = holding.node;
      float* const value = partials_in[holding.slot];
      if (node.level == level && node.index % 2 == 1) {
        const int left = owner((node.index - 1) << level);
        if (left != rank) {
          send(comm, value, count, left);
          continue;
        }
        float* const total = partials_in[above.back().slot];
        for (int64_t i = 0; i < count; ++i) total[i] += value[i];
        continue;
      }
      above.push_back(holding);
      if (node.level > level) continue;
      const int64_t right = (node.index + 1) << level;
      const int from = right < leaves() ? owner(right) : rank;
      if (from != rank) receive(comm, value, count, from);
      above.back().node = {level + 1, node.index / 2};
    }
    row = std::move(above);
  }
  const int root = owner(0);
  if (rank == root && result != partials_in[row.front().slot]) {
    std::copy(partials_in[row.front().slot], partials_in[row.front().slot] + count, result);
  }
  comm.broadcast(result, count, ElementType::f32, root);
}

LeafSum::LeafSum(const LeafTree& tree, int rank, int64_t count)
    : tree_(tree), rank_(rank), next_(tree.first_leaf(rank)), count_(count) {}

void LeafSum::add(const float* leaf) {
  stack_.emplace_back(leaf, leaf + count_);
  for (int merges = tree_.merges(rank_, next_++); merges > 0; --merges) {
    const std::vector<float> top = std::move(stack_.back());
    stack_.pop_back();
    std::transform(stack_.back().begin(), stack_.back().end(), top.begin(), stack_.back().begin(),
                   std::plus<>());
  }
}

std::vector<float> LeafSum::finish(Communicator& comm) {
  std::vector<float*> partials;
  for (std::vector<float>& values : stack_) partials.push_back(values.data());
  std::vector<float> result(static_cast<std::size_t>(count_));
  tree_.sum(comm, partials, result.data(), count_);
  stack_.clear();
  return result;
}

}  // namespace bitstill
