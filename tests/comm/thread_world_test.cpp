#include "bitstill/comm/thread_world.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "bitstill/base/error.hpp"
#include "collectives.hpp"

namespace bitstill {
namespace {

TEST(ThreadWorld, CollectivesGiveTheirFormulas) {
  for (int world : {1, 2, 3, 4}) run_as_ranks(world, check_collectives);
}

TEST(ThreadWorld, RanksThatWaitForAFailedOneLearnOfIt) {
  std::vector<int> peer_errors(4, 0);
  try {
    run_as_ranks(4, [&](Communicator& comm) {
      if (comm.rank() == 2) throw Error(ExitCode::numbers, "not finite");
      try {
        comm.barrier();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::peer);
        peer_errors[static_cast<std::size_t>(comm.rank())] = 1;
        throw;
      }
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::numbers);
    EXPECT_STREQ(error.what(), "not finite");
  }
  EXPECT_EQ(peer_errors, (std::vector<int>{1, 1, 0, 1}));
}

TEST(ThreadWorld, TheLowestFailureIsRethrown) {
  try {
    run_as_ranks(3, [](Communicator& comm) {
      throw Error(ExitCode::data, "rank " + std::to_string(comm.rank()));
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 0");
  }
}

TEST(ThreadWorld, WaitingForARankThatHasReturnedIsAnError) {
  EXPECT_THROW(run_as_ranks(2,
                            [](Communicator& comm) {
                              if (comm.rank() == 0) comm.barrier();
                            }),
               Error);
  EXPECT_THROW(run_as_ranks(2,
                            [](Communicator& comm) {
                              float value = 0;
                              if (comm.rank() == 0) comm.receive(&value, 1, ElementType::f32, 1);
                            }),
               Error);
}

TEST(ThreadWorld, APartDoesNotMissARankThatIsNotOfIt) {
  run_as_ranks(3, [](Communicator& comm) {
    const auto part = comm.split(comm.rank() / 2, 0, Traffic::control);
    if (comm.rank() == 2) return;  // has ended while the others still meet
    for (int i = 0; i < 100; ++i)
      check_all_reduce<float>(*part, 3, ElementType::f32, Reduction::sum);
    check_moves<int64_t>(*part, 7, ElementType::i64);
  });
  EXPECT_THROW(run_as_ranks(3,
                            [](Communicator& comm) {
                              const auto part = comm.split(comm.rank() / 2, 0, Traffic::control);
                              if (comm.rank() != 1) part->barrier();
                            }),
               Error);
}

TEST(ThreadWorld, DifferentCollectivesAreAnError) {
  EXPECT_THROW(run_as_ranks(2,
                            [](Communicator& comm) {
                              std::vector<float> data(8);
                              comm.all_reduce(data.data(), 4 + comm.rank(), ElementType::f32);
                            }),
               Error);
}

TEST(Traffic, CountsWhatEachRankHandsOver) {
  const TrafficCounts before = traffic_counts();
  run_as_ranks(3, [](Communicator& control) {
    const auto comm = control.duplicate(Traffic::points);
    std::vector<double> data(5), all(15), parts(15);
    comm->all_reduce(data.data(), 5, ElementType::f64);                      // 40 bytes
    comm->all_gather(data.data(), all.data(), 5, ElementType::f64);          // 40 bytes
    comm->all_to_all(all.data(), parts.data(), 5, ElementType::f64);         // 40 bytes to two
    comm->broadcast(data.data(), 3, ElementType::f64, 1);                    // 24 bytes at the root
    if (comm->rank() == 2) comm->send(data.data(), 1, ElementType::f64, 0);  // 8 bytes
    if (comm->rank() == 0) comm->receive(data.data(), 1, ElementType::f64, 2);
  });
  const TrafficCounts after = traffic_counts();
  const auto kind = static_cast<std::size_t>(Traffic::points);
  EXPECT_EQ(after[kind].bytes - before[kind].bytes, 3 * (80 + 80) + 24 + 8);
  EXPECT_EQ(after[kind].messages - before[kind].messages, 3 * 3 + 1 + 1);
  EXPECT_EQ(after[0].bytes, before[0].bytes);
}

TEST(Traffic, OneRankAloneSendsNothing) {
  const TrafficCounts before = traffic_counts();
  run_as_ranks(1, check_collectives);
  for (std::size_t k = 0; k < before.size(); ++k) {
    EXPECT_EQ(traffic_counts()[k].messages, before[k].messages);
  }
}

}  // namespace
}  // namespace bitstill
