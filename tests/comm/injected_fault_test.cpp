#include "bitstill/comm/injected_fault.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "../base/thrown_error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/solo.hpp"
#include "bitstill/comm/watched.hpp"
#include "thread_rank.hpp"

namespace bitstill {
namespace {

/// What rank 2 throws where it enters the phase; empty: nothing.
std::string met(Phase phase, int64_t step) {
  try {
    meet_fault(phase, step);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

class InjectedFault : public testing::Test {
 protected:
  void SetUp() override { setenv("BITSTILL_TEST", "1", 1); }
  void TearDown() override {
    inject_fault("throw:start,0,0", 2);  // another rank's: nothing waits any more
    unsetenv("BITSTILL_TEST");
  }
};

TEST_F(InjectedFault, OnlyTestsMayAskForOne) {
  const auto refused = [] {
    return error_of(ExitCode::settings, [] { inject_fault("throw:data,2,1", 2); });
  };
  setenv("BITSTILL_TEST", "0", 1);
  EXPECT_HOLDS(refused(), "debug.inject = throw:data,2,1: harms a run");
  unsetenv("BITSTILL_TEST");
  EXPECT_HOLDS(refused(), "set BITSTILL_TEST=1");
  EXPECT_EQ(met(Phase::data, 1), "");
  SetUp();
}

TEST_F(InjectedFault, AnotherFormIsRefused) {
  for (const std::string text :
       {"", "throw", "throw:data", "throw:data,2", "throw,2,1:data", "throw:nowhere,2,1",
        "throw:,2,1", "throw:data,,1", "throw:data,two,1", "throw:data,-2,1", "throw:data,2,",
        "throw:data,2,1x", "throw:data,2,-1", "throw:data,2,1,1",
        "throw:data,2,99999999999999999999"}) {
    EXPECT_HOLDS(error_of(ExitCode::settings, [&] { inject_fault(text, 2); }),
                 "debug.inject = " + text + ": give KIND:PHASE,RANK,STEP");
  }
  EXPECT_HOLDS(error_of(ExitCode::settings, [] { inject_fault("kil:data,2,1", 2); }),
               "debug.inject = kil: give one of kill, segv, exit, throw, stop, sleep and spin");
  EXPECT_EQ(met(Phase::data, 1), "");
}

TEST_F(InjectedFault, EveryPhaseHasItsWord) {
  for (int i = 0; i < kPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    inject_fault(concat("throw:", phase_name(phase), ",2,0"), 2);
    EXPECT_EQ(met(phase, 0), concat("the exception that debug.inject asked for, in phase ",
                                    phase_name(phase), " of step 0"));
  }
}

TEST_F(InjectedFault, StrikesItsRankOnceFromItsStepOn) {
  inject_fault("throw:backward,2,7", 2);
  EXPECT_EQ(met(Phase::backward, 6), "");
  EXPECT_EQ(met(Phase::forward, 9), "");
  EXPECT_HOLDS(met(Phase::backward, 8), "in phase backward of step 8");
  EXPECT_EQ(met(Phase::backward, 9), "");
  inject_fault("throw:backward,1,7", 2);
  EXPECT_EQ(met(Phase::backward, 7), "");
}

TEST_F(InjectedFault, AWatchdogThatWatchesNobodyStillMeetsIt) {
  const auto comm = make_solo_communicator(Traffic::control);
  ThreadRank rank(*comm);
  inject_fault("throw:update,0,3", 0);
  Watchdog watchdog(rank, 5);
  watchdog.allow(Phase::update, 2);
  watchdog.progress(Phase::update, 2);
  EXPECT_THROW(watchdog.progress(Phase::update, 3), std::runtime_error);
  const auto last = watched();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->phase, Phase::update);
  EXPECT_EQ(last->step, 3);
  EXPECT_EQ(last->timeout_s, 5);
  watchdog.stop();
}

/// Meets a fault of this kind; exit code 0 where it comes back.
void meet(const std::string& kind) {
  inject_fault(kind + ":exchange,2,5", 2);
  meet_fault(Phase::exchange, 5);
  _exit(0);
}

/// A signal after so many milliseconds: ITIMER_REAL's of all, ITIMER_VIRTUAL's of the busy ones.
void end_after(int which, int milliseconds) {
  itimerval timer{};
  timer.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000};
  setitimer(which, &timer, nullptr);
}

using InjectedFaultDeathTest = InjectedFault;

TEST_F(InjectedFaultDeathTest, EndsTheProcessAsAsked) {
  EXPECT_EXIT(meet("kill"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(meet("exit"), testing::ExitedWithCode(1), "");
  const auto segv = [] {
    std::signal(SIGSEGV, SIG_IGN);  // whatever a library made of it
    meet("segv");
  };
  EXPECT_EXIT(segv(), testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(InjectedFaultDeathTest, HangsIdleOrBusy) {
  const auto hang = [](const char* kind, int most_ms) {
    end_after(ITIMER_VIRTUAL, 50);
    end_after(ITIMER_REAL, most_ms);
    meet(kind);
  };
  EXPECT_EXIT(hang("sleep", 300), testing::KilledBySignal(SIGALRM), "");
  EXPECT_EXIT(hang("spin", 30000), testing::KilledBySignal(SIGVTALRM), "");
}

TEST_F(InjectedFault, AStoppedProcessGoesOnWhenItIsTold) {
  const pid_t child = fork();
  if (child == 0) meet("stop");
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace bitstill
