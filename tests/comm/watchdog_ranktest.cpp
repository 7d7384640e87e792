#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "bitstill/comm/watchdog.hpp"
#include "bitstill/comm/watched.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// A watchdog that blamed somebody would end the job, and the test with it.

TEST(Watchdog, StopsAtOnceAndOften) {
  for (int round = 0; round < 5; ++round) {
    Watchdog watchdog(rank_world(), 5);
    watchdog.progress(Phase::data, round);
    watchdog.stop();
    watchdog.stop();
  }
}

TEST(Watchdog, RanksMayEndInAnyOrder) {
  const Place& place = rank_world().place();
  for (const bool forward : {true, false}) {
    Watchdog watchdog(rank_world(), 1.0);
    const int turn = forward ? place.rank : place.world - 1 - place.rank;
    for (int i = 0; i < 24 * turn; ++i) {  // up to 3.6 s after the first
      watchdog.progress(Phase::validate, i);
      sleep_s(0.05);
    }
    watchdog.stop();
  }
}

/// Reports go over several ranks: fan-outs of one and two.
TEST(Watchdog, ReportsOfRanksThatOthersCarry) {
  for (const int fan_out : {1, 2}) {
    Watchdog watchdog(rank_world(), 1.0, fan_out);
    for (int i = 0; i < 40 + rank_world().place().rank; ++i) {
      watchdog.progress(Phase::forward, i);
      sleep_s(0.05);
    }
    watchdog.stop();
  }
}

TEST(Watchdog, LongPhasesAreAllowed) {
  Watchdog watchdog(rank_world(), 1.0);
  watchdog.progress(Phase::save, 1);  // ten times the time-out
  sleep_s(2);
  watchdog.allow(Phase::validate, 5);
  watchdog.progress(Phase::validate, 1);
  sleep_s(2);
  watchdog.progress(Phase::update, 2);
  watchdog.stop();
}

TEST(Watchdog, WaitingForABusyRankIsNoFault) {
  Watchdog watchdog(rank_world(), 1.0);
  if (rank_world().place().rank == 0) {
    for (int i = 0; i < 40; ++i) {
      watchdog.progress(Phase::validate, i);
      sleep_s(0.05);
    }
  }
  watchdog.progress(Phase::exchange, 20);
  rank_world().control().barrier();
  watchdog.progress(Phase::update, 20);
  watchdog.stop();
}

/// As a reader's or a lane's, while the main thread is busy for longer than the time-out.
TEST(Watchdog, OtherThreadsMayTellOfProgress) {
  Watchdog watchdog(rank_world(), 1.0);
  const auto tell = [&](Phase phase) {
    for (int i = 0; i < 50; ++i) {
      watchdog.progress(phase, 7);
      watchdog.allow(phase, 1);
      sleep_s(0.05);
    }
  };
  std::thread one(tell, Phase::teacher), two(tell, Phase::data);
  one.join();
  two.join();
  EXPECT_EQ(watched()->step, 7);
  watchdog.stop();
}

TEST(Watchdog, LeavesAloneWhenAnExceptionUnwinds) {
  try {
    Watchdog watchdog(rank_world(), 5);
    throw Error(ExitCode::data, "planted failure");
  } catch (const Error&) {
  }
  rank_world().control().barrier();
  Watchdog watchdog(rank_world(), 5);  // the next one hears nothing of it
  watchdog.stop();
}

TEST(Watchdog, ATimeoutOfZeroWatchesNothing) {
  Watchdog watchdog(rank_world(), 0);
  watchdog.progress(Phase::data, 1);
  watchdog.allow(Phase::data, 2);
  watchdog.stop();
}

}  // namespace
}  // namespace bitstill
