// SIMD kernel of attention by heads, one query at a time: what it gives does not depend on other
// queries, nor on padding. Values are fp32 or bf16 (uint16_t, the upper half of a float).
#pragma once

#include <cstdint>

namespace bitstill {

/// Scaled dot-product attention (Vaswani et al. 2017): for each head, context = sum over rows s of
/// softmax_s(query . key_s / sqrt(width)) value_s; 0 where there are no rows.
template <class Value>
struct HeadedQuery {
  int64_t heads = 0, width = 0;        // of a head
  const Value* query = nullptr;        // [heads, width], as keys and values are
  const Value* const* keys = nullptr;  // [count] rows
  int64_t to_values = 0;               // from a row's keys to its values
  int64_t count = 0;
  float* shares = nullptr;   // [heads, count] that it may write to
  Value* context = nullptr;  // [heads, width]
};

void attend_by_heads(const HeadedQuery<float>& query);
void attend_by_heads(const HeadedQuery<uint16_t>& query);

}  // namespace bitstill
