#include "bitstill/comm/agree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/thread_world.hpp"

namespace bitstill {
namespace {

/// What agree() throws on this rank: its message, or "" if nothing.
std::string outcome(Communicator& comm, const std::function<void()>& phase, ExitCode expected) {
  try {
    agree(comm, phase);
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), expected);
    return error.what();
  }
  return "";
}

TEST(Agree, SucceedsWhenAllDo) {
  run_as_ranks(4, [](Communicator& comm) {
    int ran = 0;
    agree(comm, [&] { ++ran; });
    EXPECT_EQ(ran, 1);
  });
}

TEST(Agree, LowestFailingRankSpeaksForAll) {
  run_as_ranks(5, [](Communicator& comm) {
    const std::string text = outcome(
        comm,
        [&] {
          if (comm.rank() == 2) throw Error(ExitCode::storage, "disk full");
          if (comm.rank() == 4) throw Error(ExitCode::data, "shard gone");
        },
        ExitCode::storage);
    EXPECT_EQ(text, "rank 2: disk full");
    comm.barrier();  // all ranks are still in step
  });
}

TEST(Agree, OneMessageOnAllRanksNeedsNoRank) {
  for (int world : {1, 2, 3}) {
    run_as_ranks(world, [](Communicator& comm) {
      const auto fail = [] { throw Error(ExitCode::settings, "no such key"); };
      EXPECT_EQ(outcome(comm, fail, ExitCode::settings), "no such key");
    });
  }
}

TEST(Agree, NestedAgreementKeepsItsMessage) {
  run_as_ranks(3, [](Communicator& comm) {
    const auto inner = [&] {
      if (comm.rank() == 1) throw Error(ExitCode::model, "bad header");
    };
    EXPECT_EQ(outcome(
                  comm, [&] { agree(comm, inner); }, ExitCode::model),
              "rank 1: bad header");
  });
}

TEST(Agree, LongMessagesAndForeignExceptions) {
  run_as_ranks(3, [](Communicator& comm) {
    const std::string text(5001, 'x');
    const auto fail = [&] {
      if (comm.rank() > 0) throw std::runtime_error(text + std::to_string(comm.rank()));
    };
    EXPECT_EQ(outcome(comm, fail, ExitCode::environment), "rank 1: " + text + "1");
  });
}

TEST(Agree, ALoneFailureOfTheFirstRankNamesIt) {
  run_as_ranks(2, [](Communicator& comm) {
    const auto fail = [&] {
      if (comm.rank() == 0) throw std::bad_alloc();
    };
    EXPECT_EQ(outcome(comm, fail, ExitCode::environment), "rank 0: out of memory");
    const auto differ = [&] {
      throw Error(ExitCode::data, "shard " + std::to_string(comm.rank()));
    };
    EXPECT_EQ(outcome(comm, differ, ExitCode::data), "rank 0: shard 0");
    const auto codes = [&] {
      throw Error(comm.rank() == 0 ? ExitCode::data : ExitCode::model, "x");
    };
    EXPECT_EQ(outcome(comm, codes, ExitCode::data), "rank 0: x");
  });
}

TEST(Agree, AMessageIsCutWhereItIsTooLongToBeSent) {
  const auto fail = [] { throw std::runtime_error(std::string(100000, 'x')); };
  for (int world : {1, 2}) {
    run_as_ranks(world, [&](Communicator& comm) {
      EXPECT_EQ(outcome(comm, fail, ExitCode::environment), std::string(65536, 'x'));
    });
  }
}

TEST(BroadcastText, IsTheRootsOnEveryRank) {
  run_as_ranks(3, [](Communicator& comm) {
    const std::string own(static_cast<std::size_t>(5 * comm.rank()),
                          static_cast<char>('a' + comm.rank()));
    EXPECT_EQ(broadcast_text(comm, own, 0), "");
    EXPECT_EQ(broadcast_text(comm, own, 1), "bbbbb");
    EXPECT_EQ(broadcast_text(comm, own, 2), "cccccccccc");
  });
}

std::string difference(Communicator& comm, const NamedValues& items, ExitCode code) {
  try {
    require_equal(comm, items, code);
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

TEST(RequireEqual, EqualItemsPass) {
  run_as_ranks(4, [](Communicator& comm) {
    EXPECT_EQ(difference(comm, {{"a", "1"}, {"b", ""}}, ExitCode::settings), "");
  });
}

TEST(RequireEqual, NamesTheFirstDifferenceAndItsRanks) {
  run_as_ranks(8, [](Communicator& comm) {
    const std::string rate = comm.rank() == 7 ? "0.2" : "0.1";
    const NamedValues items{{"run.seed", "1"}, {"train.rate", rate}, {"z", rate}};
    EXPECT_EQ(difference(comm, items, ExitCode::settings),
              "train.rate differs: 0.1 on ranks 0-6, 0.2 on rank 7; start all ranks with one "
              "recipe");
  });
}

TEST(RequireEqual, NamesManyValues) {
  run_as_ranks(6, [](Communicator& comm) {
    const std::string value = comm.rank() % 2 ? std::to_string(comm.rank()) : "even";
    EXPECT_EQ(difference(comm, {{"x", value}}, ExitCode::numbers),
              "x differs: even on ranks 0, 2, 4, 1 on rank 1, 3 on rank 3, 5 on rank 5");
  });
}

TEST(RequireEqual, OfVeryManyValuesTheMostFrequentAreNamed) {
  run_as_ranks(8, [](Communicator& comm) {
    const std::string value = std::to_string(std::max(comm.rank(), 1));
    EXPECT_EQ(
        difference(comm, {{"x", value}}, ExitCode::numbers),
        "x differs: 1 on ranks 0, 1, 2 on rank 2, 3 on rank 3, 4 on rank 4 and 3 more values");
  });
}

TEST(RequireEqual, SaysWhatToDo) {
  run_as_ranks(2, [](Communicator& comm) {
    const NamedValues items{{"x", std::to_string(comm.rank())}};
    for (const auto& [code, remedy] :
         {std::pair{ExitCode::data, "all ranks must read the same shards"},
          {ExitCode::model, "all ranks must read the same model file"},
          {ExitCode::environment, "start the same build on all ranks"}}) {
      EXPECT_EQ(difference(comm, items, code),
                std::string("x differs: 0 on rank 0, 1 on rank 1; ") + remedy);
    }
  });
}

TEST(RequireEqual, NamesMissingItems) {
  run_as_ranks(2, [](Communicator& comm) {
    NamedValues items{{"a", "1"}};
    if (comm.rank() == 1) items.emplace_back("b", "2");
    EXPECT_EQ(difference(comm, items, ExitCode::numbers),
              "the name of item 2 differs: (absent) on rank 0, b on rank 1");
  });
}

TEST(Agree, OneRankSendsNothing) {
  const auto comm = make_solo_communicator(Traffic::control);
  const TrafficCounts before = traffic_counts();
  agree(*comm, [] {});
  require_equal(*comm, {{"a", "1"}}, ExitCode::settings);
  EXPECT_EQ(traffic_counts()[3].messages, before[3].messages);
}

}  // namespace
}  // namespace bitstill
