// Under mpirun, at 1, 2 and 4 ranks: the same collectives, channels and agreement over real MPI.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <regex>
#include <utility>

#include "../../src/comm/mpi_communicator.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/leaf_tree.hpp"
#include "bitstill/comm/solo.hpp"
#include "collectives.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

/// Told by Open MPI's mpirun, or by MPICH's.
int told(const char* open_mpi, const char* mpich) {
  const char* number = std::getenv(open_mpi);
  if (number == nullptr) number = std::getenv(mpich);
  return number != nullptr ? std::atoi(number) : -1;
}

TEST(MpiWorld, KnowsItsPlace) {
  const Place& place = rank_world().place();
  EXPECT_EQ(place.world, told("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"));
  EXPECT_EQ(place.rank, told("OMPI_COMM_WORLD_RANK", "PMI_RANK"));
  EXPECT_EQ(place.local_rank, told("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"));
  EXPECT_EQ(place.local_world, told("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"));
  EXPECT_EQ(place.first_on_host, 0);
  char host[256] = {};
  ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
  EXPECT_EQ(place.host, host);
  const std::string library = rank_world().library();
  EXPECT_TRUE(std::regex_match(library, std::regex(R"((Open MPI|MPICH) \d\S*)"))) << library;
  EXPECT_NE(std::getenv("OMPI_MCA_mpi_yield_when_idle"), nullptr);
}

TEST(Mpi, CollectivesGiveTheirFormulas) {
  check_collectives(rank_world().control());
}

TEST(Mpi, MessagesAboveTheLongestAreSplit) {
  constexpr std::pair<int64_t, int64_t> kCases[] = {{1, 3}, {100, 301}, {254, 255}, {255, 255}};
  for (const auto& [longest, count] : kCases) {
    const auto comm = make_mpi_communicator(MPI_COMM_WORLD, false, Traffic::control, longest);
    check_all_reduce<float>(*comm, count, ElementType::f32, Reduction::sum);
    check_all_reduce<double>(*comm, count, ElementType::f64, Reduction::max);
    check_moves<int64_t>(*comm, count, ElementType::i64);
    check_moves<uint8_t>(*comm, count, ElementType::u8);
  }
}

TEST(Mpi, SumsHaveTheSameBitsOnAllRanks) {
  Communicator& comm = rank_world().control();
  for (const std::size_t count : {std::size_t{1}, std::size_t{1001}, std::size_t{300007}}) {
    std::vector<float> data(count);
    for (std::size_t i = 0; i < count; ++i) {
      data[i] = std::sin(static_cast<float>(i + 1) * static_cast<float>(comm.rank() + 3));
    }
    comm.all_reduce(data.data(), static_cast<int64_t>(count), ElementType::f32);
    std::vector<float> first = data;
    comm.broadcast(first.data(), static_cast<int64_t>(count), ElementType::f32, 0);
    EXPECT_EQ(data, first);
  }
}

TEST(Mpi, TrafficIsCounted) {
  World& world = rank_world();
  const TrafficCounts before = traffic_counts();
  const auto comm = world.control().duplicate(Traffic::points);
  std::vector<float> data(101), all(101 * static_cast<std::size_t>(world.place().world));
  comm->all_reduce(data.data(), 101, ElementType::f32);
  comm->all_gather(data.data(), all.data(), 101, ElementType::f32);
  std::vector<float> parts = all;
  comm->all_to_all(all.data(), parts.data(), 101, ElementType::f32);
  comm->broadcast(data.data(), 7, ElementType::f32, 0);
  const int64_t messages = world.place().rank == 0 ? 4 : 3;
  const int64_t bytes = (2 + world.place().world - 1) * 404 + (world.place().rank == 0 ? 28 : 0);
  const bool alone = world.place().world == 1;
  const auto kind = static_cast<std::size_t>(Traffic::points);
  EXPECT_EQ(traffic_counts()[kind].messages - before[kind].messages, alone ? 0 : messages);
  EXPECT_EQ(traffic_counts()[kind].bytes - before[kind].bytes, alone ? 0 : bytes);
}

TEST(Mpi, LeafTreeHasTheBitsOfOneRank) {
  Communicator& comm = rank_world().control();
  const auto leaf = [](int64_t number, int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = std::sin(static_cast<float>(number * 31 + static_cast<int64_t>(i))) * 1e3f;
    }
    return values;
  };
  const auto sum_of = [&](Communicator& ranks, const LeafTree& tree, int64_t begin, int64_t end,
                          int64_t count) {
    std::vector<std::vector<float>> stack;
    for (int64_t number = begin; number < end; ++number) {
      stack.push_back(leaf(number, count));
      for (int m = tree.merges(ranks.rank(), number); m > 0; --m) {
        auto& below = stack[stack.size() - 2];
        for (std::size_t i = 0; i < below.size(); ++i) below[i] += stack.back()[i];
        stack.pop_back();
      }
    }
    std::vector<float*> partials;
    for (auto& values : stack) partials.push_back(values.data());
    std::vector<float> result(static_cast<std::size_t>(count));
    tree.sum(ranks, partials, result.data(), count);
    return result;
  };
  const auto alone = make_solo_communicator(Traffic::control);
  for (const int64_t leaves : {1, 3, 7, 13}) {
    for (const int64_t count : {5, 300001}) {  // the larger one travels in two pieces
      std::vector<int64_t> first;
      for (int r = 0; r <= comm.world(); ++r) first.push_back(leaves * r / comm.world());
      const auto r = static_cast<std::size_t>(comm.rank());
      const auto got = sum_of(comm, LeafTree(first), first[r], first[r + 1], count);
      EXPECT_EQ(got, sum_of(*alone, LeafTree({0, leaves}), 0, leaves, count));
    }
  }
}

TEST(Mpi, AgreementAndComparison) {
  Communicator& comm = rank_world().control();
  const int last = comm.world() - 1;
  try {
    agree(comm, [&] {
      if (comm.rank() == last) throw Error(ExitCode::data, std::string(3001, 'm'));
    });
    ADD_FAILURE();
  } catch (const AgreedError& error) {
    const std::string prefix = last == 0 ? "" : "rank " + std::to_string(last) + ": ";
    EXPECT_EQ(error.what(), prefix + std::string(3001, 'm'));
    EXPECT_EQ(error.code(), ExitCode::data);
  }
  require_equal(comm, {{"run.seed", "7"}}, ExitCode::settings);
  if (last == 0) return;
  const std::string value = comm.rank() == last ? "8" : "7";
  try {
    require_equal(comm, {{"a", "same"}, {"run.seed", value}}, ExitCode::settings);
    ADD_FAILURE();
  } catch (const AgreedError& error) {
    const std::string line = error.what();
    EXPECT_NE(line.find("run.seed differs: 7 on rank"), std::string::npos) << line;
    EXPECT_NE(line.find("8 on rank " + std::to_string(last)), std::string::npos) << line;
  }
}

/// Both kinds of traffic at once, while the main thread uses the control communicator.
std::vector<float> run_channels(Overlap overlap) {
  World& world = rank_world();
  const auto gradients = open_channel(world, Traffic::gradients, overlap);
  const auto gathers = open_channel(world, Traffic::gathers, overlap);
  const int rank = world.place().rank;
  const auto ranks = static_cast<std::size_t>(world.place().world);
  std::vector<std::vector<float>> chunks, gathered;
  for (int64_t k = 0; k < 12; ++k) {
    chunks.push_back(pattern_of<float>(rank, 1 + 9973 * k));
    gathered.emplace_back(ranks * 1009);
  }
  const std::vector<float> slice = pattern_of<float>(rank, 1009);
  std::vector<EventPtr> sums, copies;
  for (std::size_t k = 0; k < chunks.size(); ++k) {
    sums.push_back(
        gradients->all_reduce(chunks[k].data(), static_cast<int64_t>(chunks[k].size()), nullptr));
    copies.push_back(gathers->all_gather(slice.data(), gathered[k].data(), 1009 * 4, nullptr));
    check_all_reduce<int64_t>(world.control(), 3, ElementType::i64, Reduction::max);
  }
  for (const EventPtr& event : sums) gradients->wait(event);
  for (const EventPtr& event : copies) gathers->wait(event);
  EXPECT_GT(gradients->take_busy_seconds(), 0);
  std::vector<float> all;
  for (const auto& part : chunks) all.insert(all.end(), part.begin(), part.end());
  for (const auto& part : gathered) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(Mpi, LanesGiveWhatTheCallingThreadGives) {
  ASSERT_TRUE(rank_world().threads_allowed());
  const std::vector<float> expected = run_channels(Overlap::off);
  EXPECT_EQ(run_channels(Overlap::on), expected);
  EXPECT_EQ(run_channels(Overlap::automatic), expected);
}

}  // namespace
}  // namespace bitstill
