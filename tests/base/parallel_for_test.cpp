#include "bitstill/base/parallel_for.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitstill {
namespace {

TEST(ParallelFor, CallsEachOnce) {
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    for (const int64_t threads : {0, 1, 2, 3, 50}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      parallel_for(count, threads, [&](int64_t i) { ++calls.at(static_cast<std::size_t>(i)); });
      for (const auto& n : calls) ASSERT_EQ(n, 1) << count << " on " << threads;
    }
  }
}

TEST(ParallelFor, ThrowsTheLowestFailureBehindAllPieces) {
  for (const int64_t threads : {1, 3}) {
    std::atomic<int> calls{0};
    try {
      parallel_for(200, threads, [&](int64_t i) {
        ++calls;
        if (i % 50 == 17) throw std::runtime_error(std::to_string(i));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "17");
    }
    EXPECT_EQ(calls, 200);
  }
}

}  // namespace
}  // namespace bitstill
