// Entropy and Huffman's mean code length: the yardsticks of sizes.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <queue>

#include "bitstill/codec/measure.hpp"

namespace bitstill {
namespace {

std::array<uint64_t, 256> counts_of(const std::vector<uint8_t>& codes) {
  std::array<uint64_t, 256> counts{};
  for (const uint8_t code : codes) ++counts[code];
  return counts;
}

}  // namespace

double entropy_bits(const std::vector<uint8_t>& codes) {
  const auto all = static_cast<double>(codes.size());
  double bits = 0;
  for (const uint64_t count : counts_of(codes)) {
    if (count > 0) bits += static_cast<double>(count) * std::log2(all / static_cast<double>(count));
  }
  return bits;
}

double huffman_bits(const std::vector<uint8_t>& codes) {
  if (codes.empty()) return 0;
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> nodes;
  for (const uint64_t count : counts_of(codes)) {
    if (count > 0) nodes.push(count);
  }
  if (nodes.size() == 1) return 1;
  uint64_t bits = 0;  // each merger makes the codes below it one bit longer
  while (nodes.size() > 1) {
    const uint64_t first = nodes.top();
    nodes.pop();
    const uint64_t both = first + nodes.top();
    nodes.pop();
    nodes.push(both);
    bits += both;
  }
  return static_cast<double>(bits) / static_cast<double>(codes.size());
}

}  // namespace bitstill
