// Every verb against its formula at odd sizes; the same for every backend.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "bitstill/base/bf16.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// What rank r holds at index i: small whole numbers, so sums are exact in every type.
inline int64_t pattern(int rank, int64_t i) {
  return (rank + 1) * (i % 1013 + 1) - 7 * (i % 5);
}

template <class T>
std::vector<T> pattern_of(int rank, int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<T>(pattern(rank, i));
  }
  return values;
}

template <class T>
void check_all_reduce(Communicator& comm, int64_t count, ElementType type, Reduction op) {
  std::vector<T> expected = pattern_of<T>(0, count);
  for (int r = 1; r < comm.world(); ++r) {
    const std::vector<T> other = pattern_of<T>(r, count);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (op == Reduction::sum) expected[i] += other[i];
      if (op == Reduction::min) expected[i] = std::min(expected[i], other[i]);
      if (op == Reduction::max) expected[i] = std::max(expected[i], other[i]);
    }
  }
  std::vector<T> data = pattern_of<T>(comm.rank(), count);
  comm.all_reduce(data.data(), count, type, op);
  EXPECT_EQ(data, expected) << count << " elements";
}

/// Sums of bf16: exact where whole numbers stay small, the same bits on every rank elsewhere, and
/// what is not finite goes through.
inline void check_bf16_sums(Communicator& comm, int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  std::vector<uint16_t> whole(size), expected(size), rough(size);
  for (std::size_t i = 0; i < size; ++i) {
    const auto at_rank = [&](int rank) {
      return static_cast<float>(static_cast<int>(i % 31) - 15 * rank);
    };
    float sum = 0;
    for (int r = 0; r < comm.world(); ++r) sum += at_rank(r);
    whole[i] = to_bf16(at_rank(comm.rank()));
    expected[i] = to_bf16(sum);
    rough[i] = to_bf16(std::sin(static_cast<float>(i + 1) * static_cast<float>(comm.rank() + 3)));
  }
  const int last = comm.world() - 1;
  if (size > 2 && comm.rank() == last) {
    rough[1] = to_bf16(INFINITY);
    rough[2] = to_bf16(NAN);
  }
  comm.all_reduce(whole.data(), count, ElementType::bf16);
  EXPECT_EQ(whole, expected) << count << " elements";
  comm.all_reduce(rough.data(), count, ElementType::bf16);
  std::vector<uint16_t> first = rough;
  comm.broadcast(first.data(), count, ElementType::bf16, 0);
  EXPECT_EQ(rough, first) << count << " elements";
  if (size > 2) {
    EXPECT_EQ(from_bf16(rough[1]), INFINITY);
    EXPECT_TRUE(std::isnan(from_bf16(rough[2])));
  }
}

template <class T>
void check_moves(Communicator& comm, int64_t count, ElementType type) {
  const std::vector<T> mine = pattern_of<T>(comm.rank(), count);
  std::vector<T> all(static_cast<std::size_t>(count * comm.world())), expected;
  for (int r = 0; r < comm.world(); ++r) {
    const std::vector<T> part = pattern_of<T>(r, count);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  comm.all_gather(mine.data(), all.data(), count, type);
  EXPECT_EQ(all, expected) << count << " elements";

  // To rank r: the pattern of (mine * world + r).
  const int world = comm.world();
  std::vector<T> parts;
  expected.clear();
  for (int r = 0; r < world; ++r) {
    const std::vector<T> to = pattern_of<T>(comm.rank() * world + r, count);
    const std::vector<T> from = pattern_of<T>(r * world + comm.rank(), count);
    parts.insert(parts.end(), to.begin(), to.end());
    expected.insert(expected.end(), from.begin(), from.end());
  }
  comm.all_to_all(parts.data(), all.data(), count, type);
  EXPECT_EQ(all, expected) << count << " elements";

  for (int root = 0; root < comm.world(); ++root) {
    std::vector<T> data = mine;
    comm.broadcast(data.data(), count, type, root);
    EXPECT_EQ(data, pattern_of<T>(root, count)) << count << " elements from " << root;
  }

  // Along the ranks: each receives from the one before it.
  std::vector<T> data = mine;
  if (comm.rank() > 0) comm.receive(data.data(), count, type, comm.rank() - 1);
  if (comm.rank() + 1 < comm.world()) comm.send(mine.data(), count, type, comm.rank() + 1);
  EXPECT_EQ(data, pattern_of<T>(std::max(comm.rank() - 1, 0), count));
}

/// Parts of comm: its odd and even ranks, in reversed order, and each rank alone.
/// Collective: every rank of comm calls this, in the same order.
inline void check_split(Communicator& comm) {
  const auto part = comm.split(comm.rank() % 2, -comm.rank(), Traffic::gathers);
  std::vector<int64_t> expected;  // ranks of comm
  for (int r = comm.world() - 1; r >= 0; --r) {
    if (r % 2 == comm.rank() % 2) expected.push_back(r);
  }
  EXPECT_EQ(part->kind(), Traffic::gathers);
  ASSERT_EQ(part->world(), static_cast<int>(expected.size()));
  EXPECT_EQ(expected[static_cast<std::size_t>(part->rank())], comm.rank());
  const int64_t mine = comm.rank();
  std::vector<int64_t> members(expected.size());
  part->all_gather(&mine, members.data(), 1, ElementType::i64);
  EXPECT_EQ(members, expected);
  check_all_reduce<float>(*part, 1001, ElementType::f32, Reduction::sum);
  check_moves<int64_t>(*part, 33, ElementType::i64);
  // A part has parts, and duplicates; equal keys keep the order.
  const auto again = part->duplicate(Traffic::points)->split(7, 3, Traffic::control);
  EXPECT_EQ(again->rank(), part->rank());
  check_all_reduce<double>(*again, 5, ElementType::f64, Reduction::max);
  const auto alone = comm.split(comm.rank(), 0, Traffic::control);
  EXPECT_EQ(alone->world(), 1);
  EXPECT_EQ(alone->rank(), 0);
  check_all_reduce<float>(*alone, 9, ElementType::f32, Reduction::sum);
  // The parts use nothing of each other, nor of the whole.
  if (comm.rank() % 2 == 0) check_moves<float>(*part, 129, ElementType::f32);
  check_all_reduce<float>(comm, 129, ElementType::f32, Reduction::sum);
  if (comm.rank() % 2 == 1) check_moves<float>(*part, 129, ElementType::f32);
  EXPECT_THROW(comm.split(-1, 0, Traffic::control), Error);
}

/// Collective: every rank of comm calls this, in the same order.
inline void check_collectives(Communicator& comm) {
  for (const int64_t count : {0, 1, 3, 255, 1001, 70001}) {
    check_all_reduce<float>(comm, count, ElementType::f32, Reduction::sum);
    for (const Reduction op : {Reduction::sum, Reduction::min, Reduction::max}) {
      check_all_reduce<double>(comm, count, ElementType::f64, op);
      check_all_reduce<int64_t>(comm, count, ElementType::i64, op);
    }
    check_bf16_sums(comm, count);
    check_moves<float>(comm, count, ElementType::f32);
    check_moves<uint16_t>(comm, count, ElementType::bf16);
    check_moves<int64_t>(comm, count, ElementType::i64);
    check_moves<uint8_t>(comm, count, ElementType::u8);
  }
  comm.barrier();
  float value = 0;
  EXPECT_THROW(comm.all_reduce(&value, 1, ElementType::u8), Error);
  EXPECT_THROW(comm.all_reduce(&value, 1, ElementType::bf16, Reduction::max), Error);
  EXPECT_THROW(comm.all_reduce(&value, 1, ElementType::f32, Reduction::max), Error);

  // A duplicate has its own order of messages: the two are used in opposite order of sending.
  const auto other = comm.duplicate(Traffic::gathers);
  EXPECT_EQ(other->kind(), Traffic::gathers);
  EXPECT_EQ(other->rank(), comm.rank());
  check_all_reduce<float>(*other, 129, ElementType::f32, Reduction::sum);
  check_all_reduce<float>(comm, 129, ElementType::f32, Reduction::sum);
  check_split(comm);
}

}  // namespace bitstill
