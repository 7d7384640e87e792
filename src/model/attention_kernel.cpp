// SIMD kernel of attention by heads; Google Highway compiles this file once for every instruction
// set and picks the best one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/model/attention_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "attention_kernel.hpp"
#include "values-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Scores, the largest one taken off, become e^score; their sum.
HWY_INLINE float exponentials(float* scores, int64_t count) {
  const float largest = *std::max_element(scores, scores + count);
  over(count, [&](auto d, int64_t s) HWY_ATTR {
    store(d, hn::Exp(d, hn::Sub(load(d, scores + s), hn::Set(d, largest))), scores + s);
  });
  float total = 0;
  for (int64_t s = 0; s < count; ++s) total += scores[s];
  return total;
}

template <class Value>
void attend(const HeadedQuery<Value>& of) {
  const float scale = 1 / std::sqrt(static_cast<float>(of.width));
  for (int64_t s = 0; s < of.count; ++s) {
    for (int64_t head = 0; head < of.heads; ++head) {
      const int64_t first = head * of.width;
      of.shares[head * of.count + s] = scale * dot(of.query + first, of.keys[s] + first, of.width);
    }
  }
  for (int64_t head = 0; head < of.heads; ++head) {
    float* const shares = of.shares + head * of.count;
    const float total = of.count == 0 ? 1 : exponentials(shares, of.count);
    const int64_t first = head * of.width;
    over(of.width, [&](auto d, int64_t i) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (int64_t s = 0; s < of.count; ++s) {
        sum =
            hn::MulAdd(hn::Set(d, shares[s]), load(d, of.keys[s] + of.to_values + first + i), sum);
      }
      store(d, hn::Div(sum, hn::Set(d, total)), of.context + first + i);
    });
  }
}

void attend_fp32(const HeadedQuery<float>& query) {
  attend(query);
}
void attend_bf16(const HeadedQuery<uint16_t>& query) {
  attend(query);
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(attend_fp32);
HWY_EXPORT(attend_bf16);

void attend_by_heads(const HeadedQuery<float>& query) {
  HWY_DYNAMIC_DISPATCH(attend_fp32)(query);
}

void attend_by_heads(const HeadedQuery<uint16_t>& query) {
  HWY_DYNAMIC_DISPATCH(attend_bf16)(query);
}

}  // namespace bitstill
#endif
