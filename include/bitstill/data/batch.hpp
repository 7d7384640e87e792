// What a forward pass is made from.
#pragma once

#include <cstdint>
#include <vector>

namespace bitstill {

/// Of a pair of sentences, in tokens without specials.
struct SentenceLengths {
  int32_t source = 0, target = 0;
  bool operator==(const SentenceLengths&) const = default;
};

/// One micro-batch. Owned by whoever took it.
struct Batch {
  std::vector<int64_t> rows;      // row numbers within the split
  std::vector<uint8_t> pixels;    // [n, C, H, W]
  std::vector<int64_t> labels;    // [n]
  std::vector<int64_t> partners;  // [n] labels of what was mixed into them; none: nothing
  double share = 1;               // of `labels`; the partners have the rest
  int64_t variant = 0;            // of augmentation: variant_of() its epoch
  std::vector<float> kept;        // of a teacher that is read (BatchHook); or none
  // Of sentences: each row's source and then its target, without specials, one row behind the
  // other.
  std::vector<int32_t> tokens;
  std::vector<SentenceLengths> lengths;  // [n]
  int64_t count() const { return static_cast<int64_t>(rows.size()); }
};

}  // namespace bitstill
