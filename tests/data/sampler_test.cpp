#include "bitstill/data/sampler.hpp"

#include <algorithm>

#include "data_fixture.hpp"

namespace bitstill {
namespace {

TEST(Sampler, IsAPermutation) {
  for (const int64_t count : {0, 1, 2, 3, 63, 1000}) {
    std::vector<int64_t> order = epoch_order(count, 5, 3);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(static_cast<int64_t>(order.size()), count);
    for (int64_t i = 0; i < count; ++i) EXPECT_EQ(order[i], i);
  }
}

TEST(Sampler, DependsOnSeedAndEpochAlone) {
  const std::vector<int64_t> order = epoch_order(100, 5, 3);
  epoch_order(77, 6, 1);
  EXPECT_EQ(epoch_order(100, 5, 3), order);
  EXPECT_NE(epoch_order(100, 5, 4), order);
  EXPECT_NE(epoch_order(100, 6, 3), order);
}

TEST(Sampler, VisitsEveryPlaceEquallyOften) {
  // Row 0's place over 3,000 epochs of 10: each place 300 times, standard deviation 16.4.
  std::vector<int> places(10);
  for (int64_t epoch = 0; epoch < 3000; ++epoch) {
    const std::vector<int64_t> order = epoch_order(10, 1, epoch);
    places[std::find(order.begin(), order.end(), 0) - order.begin()] += 1;
  }
  for (const int count : places) EXPECT_NEAR(count, 300, 5 * 16.4);
}

}  // namespace
}  // namespace bitstill
