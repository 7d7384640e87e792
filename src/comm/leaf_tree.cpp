#include "bitstill/comm/leaf_tree.hpp"

#include <algorithm>
#include <functional>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

/// Floats that travel at once: bounds the memory that a sum needs beside its partials.
constexpr int64_t kPiece = 1 << 18;

/// A node's value and where it lies.
struct Holding {
  TreeNode node;
  int rank = 0;
  std::size_t slot = 0;  // in that rank's partials
};

/// left += right, wherever the two lie; ranks that hold neither do nothing.
void add(Communicator& comm, const std::vector<float*>& partials, const Holding& left,
         const Holding& right, int64_t count, std::vector<float>& buffer) {
  const int rank = comm.rank();
  if (rank != left.rank && rank != right.rank) return;
  if (left.rank == right.rank) {
    for (int64_t i = 0; i < count; ++i) partials[left.slot][i] += partials[right.slot][i];
    return;
  }
  for (int64_t at = 0; at < count; at += kPiece) {
    const int64_t length = std::min(kPiece, count - at);
    if (rank == right.rank) {
      comm.send(partials[right.slot] + at, length, ElementType::f32, left.rank);
      continue;
    }
    buffer.resize(static_cast<std::size_t>(length));
    comm.receive(buffer.data(), length, ElementType::f32, right.rank);
    float* total = partials[left.slot] + at;
    for (int64_t i = 0; i < length; ++i) total[i] += buffer[static_cast<std::size_t>(i)];
  }
}

}  // namespace

LeafTree::LeafTree(std::vector<int64_t> first) : first_(std::move(first)) {
  if (first_.size() < 2 || first_.front() != 0 || !std::is_sorted(first_.begin(), first_.end())) {
    throw Error(ExitCode::environment, "leaf tree: first leaves must ascend from 0");
  }
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
  std::vector<Holding> row;  // values not yet added into another, by leaf
  for (int rank = 0; rank < comm.world(); ++rank) {
    std::size_t slot = 0;
    for (const TreeNode& node : partials(rank)) row.push_back({node, rank, slot++});
  }
  if (row.empty()) {
    std::fill(result, result + count, 0.0f);
    return;
  }
  std::vector<float> buffer;
  for (int level = 0; row.size() > 1; ++level) {
    std::vector<Holding> above;
    for (const Holding& holding : row) {
      if (holding.node.level == level && holding.node.index % 2 == 1) {
        add(comm, partials_in, above.back(), holding, count, buffer);
        continue;
      }
      above.push_back(holding);
      TreeNode& node = above.back().node;
      if (node.level == level) node = {level + 1, node.index / 2};
    }
    row = std::move(above);
  }
  const Holding& root = row.front();
  if (comm.rank() == root.rank && result != partials_in[root.slot]) {
    std::copy(partials_in[root.slot], partials_in[root.slot] + count, result);
  }
  comm.broadcast(result, count, ElementType::f32, root.rank);
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
