// The sum in 4 bits against fp64, on any backend.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/train/coded_sum.hpp"

namespace bitstill {

inline std::vector<float> gradients_of(int rank, int64_t count) {
  RandomStream stream(9, StreamPurpose::initialization, static_cast<uint64_t>(rank));
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(stream.uniform() - 0.5f);
  return values;
}

/// Collective: every rank of comm calls this, in the same order.
inline void check_coded_sum(Communicator& comm, int64_t count, int64_t step) {
  const int world = comm.world();
  std::vector<double> exact(static_cast<std::size_t>(count));
  for (int r = 0; r < world; ++r) {
    const std::vector<float> its = gradients_of(r, count);
    for (std::size_t i = 0; i < exact.size(); ++i) exact[i] += its[i];
  }
  std::vector<float> values = gradients_of(comm.rank(), count);
  CodedSum coded(11);
  coded.sum(comm, values.data(), {1024, count}, step);
  // All but the owner's share are rounded by less than a unit of at most 0.5 / 7, their sum by one
  // of at most (world 0.5 and those errors) / 7.
  const double unit = 0.5 / 7, there = (world - 1) * unit;
  const double bound = world == 1 ? 0 : (there + (world * 0.5 + there) / 7) * 1.0001;
  double error = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_LE(std::abs(values[i] - exact[i]), bound) << i;
    error += std::abs(values[i] - exact[i]);
  }
  // A single value is its bucket's greatest, and so exact.
  EXPECT_TRUE(count < 2 || (error > 0) == (world > 1));

  std::vector<float> first = values, again = gradients_of(comm.rank(), count);
  comm.broadcast(first.data(), count, ElementType::f32, 0);
  EXPECT_EQ(values, first) << "ranks differ";
  coded.sum(comm, again.data(), {1024, count}, step);
  EXPECT_EQ(again, values) << "the same step rounds otherwise";
  again = gradients_of(comm.rank(), count);
  coded.sum(comm, again.data(), {1024, count}, step + 1);
  EXPECT_EQ(again != values, world > 1 && count > 3) << "another step rounds alike";
}

}  // namespace bitstill
