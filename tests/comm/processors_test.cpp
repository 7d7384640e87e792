#include "bitstill/comm/processors.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <numeric>

#include "bitstill/comm/thread_world.hpp"

namespace bitstill {
namespace {

CpuSet cpus(const std::vector<std::size_t>& numbers) {
  CpuSet set;
  for (const std::size_t cpu : numbers) {
    if (set.size() <= cpu / 64) set.resize(cpu / 64 + 1);
    set[cpu / 64] |= uint64_t{1} << (cpu % 64);
  }
  return set;
}

/// Processors [first, first + count).
CpuSet run_of(std::size_t first, std::size_t count) {
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return cpus(numbers);
}

using Threads = std::vector<int>;

TEST(ShareCpus, RanksOfOneSetDivideIt) {
  const CpuSet two = run_of(0, 2), eight = run_of(0, 8);
  EXPECT_EQ(share_cpus({{0, two}, {0, two}, {0, two}, {0, two}}), (Threads{1, 1, 1, 1}));
  EXPECT_EQ(share_cpus({{0, eight}, {0, eight}, {0, eight}}), (Threads{2, 2, 2}));
  EXPECT_EQ(share_cpus({{0, eight}}), (Threads{8}));
}

TEST(ShareCpus, SeveralSetsOnOneHostAreDividedEachAmongItsRanks) {
  const CpuSet low = run_of(0, 2), high = run_of(2, 2);
  EXPECT_EQ(share_cpus({{0, low}, {0, low}, {0, high}, {0, high}}), (Threads{1, 1, 1, 1}));
  EXPECT_EQ(share_cpus({{0, low}, {0, high}}), (Threads{2, 2}));
  const CpuSet wide = run_of(0, 6);
  EXPECT_EQ(share_cpus({{0, wide}, {0, wide}, {0, run_of(6, 4)}}), (Threads{3, 3, 4}));
}

TEST(ShareCpus, SetsThatOverlapInPartGiveNoProcessorTwice) {
  EXPECT_EQ(share_cpus({{0, run_of(0, 4)}, {0, run_of(2, 4)}}), (Threads{3, 3}));
  EXPECT_EQ(share_cpus({{0, run_of(0, 8)}, {0, run_of(7, 1)}}), (Threads{7, 1}));
  // Halves, thirds and sixths: 6 * (1/2 + 1/3 + 1/6) of a processor.
  std::vector<RankCpus> ranks;
  for (int r = 0; r < 6; ++r) {
    ranks.push_back({0, run_of(0, r < 2 ? 18 : r < 3 ? 12 : 6)});
  }
  EXPECT_EQ(share_cpus(ranks), (Threads{6, 6, 3, 1, 1, 1}));
}

TEST(ShareCpus, HostsDoNotShare) {
  const CpuSet four = run_of(0, 4);
  EXPECT_EQ(share_cpus({{0, four}, {0, four}, {2, four}}), (Threads{2, 2, 4}));
}

TEST(ShareCpus, SetsBeyond64And1024Processors) {
  const CpuSet high = run_of(60, 20), higher = run_of(1000, 128);
  EXPECT_EQ(share_cpus({{0, high}, {0, high}, {0, higher}}), (Threads{10, 10, 128}));
  // The same bits of other words are other processors.
  EXPECT_EQ(share_cpus({{0, run_of(0, 13)}, {0, run_of(64, 13)}, {0, run_of(1024, 13)}}),
            (Threads{13, 13, 13}));
}

TEST(ShareCpus, AnUnknownSetIsOneThread) {
  EXPECT_EQ(share_cpus({{0, {}}, {0, run_of(0, 2)}}), (Threads{1, 2}));
}

TEST(GatherCpus, EveryRankHasTheSetsOfAllWhateverTheirLengths) {
  const std::vector<RankCpus> given = {{0, run_of(63, 2)}, {0, {}}, {2, run_of(1100, 3)}};
  run_as_ranks(3, [&](Communicator& comm) {
    const auto all = gather_cpus(comm, given[static_cast<std::size_t>(comm.rank())]);
    ASSERT_EQ(all.size(), given.size());
    for (std::size_t r = 0; r < given.size(); ++r) {
      CpuSet padded = given[r].cpus;
      padded.resize(given[2].cpus.size());
      EXPECT_EQ(all[r].cpus, padded);
      EXPECT_EQ(all[r].host, given[r].host);
    }
  });
}

TEST(AllowedCpus, AreThoseOfThisProcess) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  CpuSet allowed = allowed_cpus();
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  CpuSet expected = cpus({static_cast<std::size_t>(first)});
  expected.resize(allowed.size());
  EXPECT_EQ(allowed, expected);
}

TEST(TakesGpu, UnderAutoOneRankWithoutDecidesForAllAndIsSaidOnce) {
  for (const int with : {0, 1, 3, 4}) {
    testing::internal::CaptureStderr();
    run_as_ranks(4, [&](Communicator& comm) {
      EXPECT_EQ(takes_gpu(comm, DeviceWish::automatic, comm.rank() < with), with == 4);
    });
    const std::string said = testing::internal::GetCapturedStderr();
    if (with == 0 || with == 4) {
      EXPECT_EQ(said, "");
    } else {
      EXPECT_EQ(said.find("warning: run.device = auto: " + std::to_string(with) + " of 4 ranks"),
                0u)
          << said;
      EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
    }
  }
}

TEST(TakesGpu, AGivenDeviceIsTaken) {
  testing::internal::CaptureStderr();
  run_as_ranks(2, [&](Communicator& comm) {
    EXPECT_FALSE(takes_gpu(comm, DeviceWish::cpu, comm.rank() == 0));
    EXPECT_TRUE(takes_gpu(comm, DeviceWish::cuda, true));
  });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace bitstill
