#include "../../src/model/attention_kernel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "../base/every_target.hpp"
#include "bitstill/base/random.hpp"

namespace bitstill {
namespace {

float as_float(float value) {
  return value;
}
float as_float(uint16_t value) {
  return std::bit_cast<float>(uint32_t{value} << 16);
}
void put(float value, float* to) {
  *to = value;
}
void put(float value, uint16_t* to) {  // cut off: any bf16 will do
  *to = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

template <class Value>
void expect_the_formula(int64_t heads, int64_t width, int64_t count, double tolerance) {
  const int64_t size = heads * width, stride = 3 * size + 5;
  RandomStream stream(7, StreamPurpose::order, static_cast<uint64_t>(width * 1000 + count));
  const auto draw = [&](std::vector<Value>& all) {
    for (Value& value : all) put(4 * stream.uniform() - 2, &value);
  };
  std::vector<Value> query(static_cast<std::size_t>(size));
  std::vector<Value> memory(static_cast<std::size_t>(count * stride)), context(query.size());
  draw(query);
  draw(memory);
  std::vector<const Value*> keys;  // the last row first
  for (int64_t s = count; s-- > 0;) keys.push_back(memory.data() + s * stride);
  std::vector<float> shares(static_cast<std::size_t>(heads * count));
  const int64_t to_values = size + 3;
  attend_by_heads(
      {heads, width, query.data(), keys.data(), to_values, count, shares.data(), context.data()});
  for (int64_t head = 0; head < heads; ++head) {
    std::vector<double> weight;
    double total = 0;
    for (const Value* row : keys) {
      double score = 0;
      for (int64_t i = head * width; i < (head + 1) * width; ++i) {
        score += double{as_float(query[static_cast<std::size_t>(i)])} * as_float(row[i]);
      }
      weight.push_back(std::exp(score / std::sqrt(double(width))));
      total += weight.back();
    }
    for (int64_t i = head * width; i < (head + 1) * width; ++i) {
      double expected = 0;
      for (std::size_t s = 0; s < keys.size(); ++s) {
        expected += weight[s] / total * as_float(keys[s][to_values + i]);
      }
      EXPECT_NEAR(as_float(context[static_cast<std::size_t>(i)]), expected, tolerance)
          << heads << " x " << width << ", " << count << " rows, value " << i;
    }
  }
}

TEST(AttentionKernel, IsTheFormula) {
  on_every_target([] {
    for (const int64_t width : {1, 5, 16, 32, 50}) {
      for (const int64_t count : {0, 1, 7, 33}) {
        expect_the_formula<float>(3, width, count, 1e-5);
        expect_the_formula<uint16_t>(3, width, count, 1e-2);
      }
    }
  });
}

}  // namespace
}  // namespace bitstill
