#include "../../src/comm/judge.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace bitstill {
namespace {

constexpr double kTimeout_s = 5, kPeriod_s = 0.25;

/// What a rank reports at a time; nullopt: it is silent.
using Script = std::function<std::optional<Report>(double)>;

/// The first verdict, and when, of ranks that report every period.
struct Outcome {
  std::string line;
  double when_s = 0;
};
Outcome play(const std::vector<Script>& scripts, double until_s = 30) {
  std::vector<std::string> hosts;
  for (std::size_t r = 0; r < scripts.size(); ++r) hosts.push_back("n" + std::to_string(r));
  Judge judge(hosts, kTimeout_s, 4 * kPeriod_s);
  for (double now = 0; now < until_s; now += kPeriod_s) {
    for (std::size_t r = 0; r < scripts.size(); ++r) {
      const auto report = scripts[r](now);
      if (report) judge.hear(r, *report, now);
    }
    const std::string line = judge.verdict(now);
    if (!line.empty()) return {line, now};
  }
  return {};
}

/// Makes progress until `when_s`, then stays in (phase, step) for ever.
Script stays(Phase phase, int64_t step, double when_s, double limit_s = kTimeout_s) {
  return [=](double now) -> std::optional<Report> {
    if (now < when_s) return Report{Phase::forward, step, static_cast<int64_t>(now * 100), limit_s};
    return Report{phase, step, static_cast<int64_t>(when_s * 100) + 1, limit_s};
  };
}
Script healthy() {
  return stays(Phase::forward, 17, 1e9);
}
Script silent_from(double when_s, Script before) {
  return [=](double now) { return now < when_s ? before(now) : std::nullopt; };
}

void expect_verdict(const Outcome& outcome, const std::string& line, double when_s) {
  EXPECT_EQ(outcome.line, line);
  EXPECT_GE(outcome.when_s, when_s);
  EXPECT_LE(outcome.when_s, when_s + 1.5);
}

TEST(Judge, LeavesHealthyRanksAlone) {
  EXPECT_EQ(play({healthy(), healthy(), healthy()}).line, "");
}

TEST(Judge, NamesTogetherWhomACutCableTakesAway) {
  // Their last reports are of moments that lie apart; the one who was heard of since is well.
  const Outcome outcome = play({healthy(), silent_from(10, healthy()), healthy(),
                                silent_from(10.4, healthy()), silent_from(13, healthy())});
  expect_verdict(outcome,
                 "no progress for 5.0 s: rank 1 on n1 and rank 3 on n3 do not answer (last: phase "
                 "forward, step 17)",
                 14.5);
}

TEST(Judge, NamesASilentRank) {
  const Script waits = stays(Phase::exchange, 17, 3.1);
  expect_verdict(
      play({waits, waits, silent_from(3, healthy())}),
      "no progress for 5.0 s: rank 2 on n2 does not answer (last: phase forward, step 17)", 7.75);
}

TEST(Judge, NamesTheSilentOneThoughAllWereWaitingBefore) {
  // All entered the exchange at 1 s; rank 1 stopped at 3 s, when the others had waited for 2 s.
  const Script waits = stays(Phase::exchange, 17, 1);
  expect_verdict(
      play({waits, silent_from(3, waits), waits}),
      "no progress for 5.0 s: rank 1 on n1 does not answer (last: phase exchange, step 17)", 7.75);
}

TEST(Judge, NamesARankThatHangsWhileOthersWaitLonger) {
  const Script waits = stays(Phase::exchange, 17, 1);
  expect_verdict(play({waits, stays(Phase::data, 17, 2), waits}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase data of step 17", 7);
}

TEST(Judge, NeverBlamesThoseWhoWaitForARankThatProgresses) {
  const Script waits = stays(Phase::exchange, 17, 1);
  EXPECT_EQ(play({waits, healthy(), waits}, 300).line, "");
}

TEST(Judge, ARankThatWaitsForTheTeachersSlicesIsNotBlamedForTheOneThatDoesNotSendThem) {
  const Script gathers = stays(Phase::gather, 17, 1);
  EXPECT_EQ(play({gathers, healthy(), gathers}, 300).line, "");
  // The culprit may be behind, at the same step ahead, or at the end of the step before.
  expect_verdict(play({gathers, stays(Phase::data, 17, 3), gathers}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase data of step 17", 8);
  expect_verdict(play({gathers, stays(Phase::teacher, 17, 3), stays(Phase::exchange, 17, 1)}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase teacher of step 17", 8);
  expect_verdict(play({gathers, stays(Phase::backward, 17, 3), gathers}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase backward of step 17", 8);
  expect_verdict(play({gathers, stays(Phase::update, 16, 3), gathers}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase update of step 16", 8);
  expect_verdict(
      play({gathers, silent_from(3, gathers), gathers}),
      "no progress for 5.0 s: rank 1 on n1 does not answer (last: phase gather, step 17)", 7.75);
}

TEST(Judge, NamesAGatherThatNobodyLeaves) {
  const Script gathers = stays(Phase::gather, 17, 1);
  expect_verdict(play({gathers, stays(Phase::gather, 17, 2)}),
                 "no progress for 5.0 s: all ranks wait in phase gather of step 17 and none is "
                 "behind",
                 7);
  // A step's gathers come before its exchange and after that of the step before.
  expect_verdict(play({gathers, stays(Phase::exchange, 17, 2)}),
                 "no progress for 5.0 s: rank 0 on n0 is behind in phase gather of step 17", 7);
  expect_verdict(play({gathers, stays(Phase::exchange, 16, 2)}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase exchange of step 16", 7);
  expect_verdict(play({gathers, stays(Phase::finish, 30, 2)}),
                 "no progress for 5.0 s: rank 0 on n0 is behind in phase gather of step 17", 7);
}

TEST(Judge, NamesTheFarthestBehindOfSeveral) {
  expect_verdict(play({stays(Phase::teacher, 17, 1), stays(Phase::exchange, 17, 1),
                       stays(Phase::data, 17, 1)}),
                 "no progress for 5.0 s: rank 2 on n2 is behind in phase data of step 17", 6);
  expect_verdict(
      play({stays(Phase::data, 16, 1), stays(Phase::data, 17, 1), stays(Phase::data, 16, 1)}),
      "no progress for 5.0 s: rank 0 on n0 and rank 2 on n2 are behind in phase data of "
      "step 16",
      6);
}

TEST(Judge, ARankFartherBehindThatProgressesExcusesTheRest) {
  const Script slow = [](double now) {
    return Report{Phase::load, 0, static_cast<int64_t>(now * 100), kTimeout_s};
  };
  EXPECT_EQ(play({slow, stays(Phase::teacher, 17, 1)}, 300).line, "");
}

TEST(Judge, EachPhaseHasItsLimit) {
  expect_verdict(play({stays(Phase::load, 0, 1, 50), stays(Phase::load, 0, 2, 50)}, 100),
                 "no progress for 50.0 s: rank 0 on n0 is behind in phase load of step 0", 51);
}

TEST(Judge, NamesAnExchangeThatNobodyLeaves) {
  expect_verdict(play({stays(Phase::exchange, 17, 1), stays(Phase::exchange, 17, 2)}),
                 "no progress for 5.0 s: all ranks wait in phase exchange of step 17 and none is "
                 "behind",
                 7);
  expect_verdict(play({stays(Phase::exchange, 18, 1), stays(Phase::exchange, 17, 2)}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase exchange of step 17", 7);
}

TEST(Judge, AnOldReportOfARankJustReleasedIsNoFault) {
  // Both waited long for rank 2, which moves on at 10 s; the news of rank 1 comes a period later.
  const Script released = [](double now) {
    return now < 10 ? Report{Phase::exchange, 17, 1, kTimeout_s}
                    : Report{Phase::finish, 18, 2, kTimeout_s};
  };
  const Script released_later = [=](double now) { return released(now - kPeriod_s); };
  const Script slow = [=](double now) {
    return now < 10 ? healthy()(now) : Report{Phase::finish, 18, 2, kTimeout_s};
  };
  EXPECT_EQ(play({released, released_later, slow}).line, "");
}

TEST(Judge, RanksThatHaveFinishedAreNotBlamed) {
  const Script finished = stays(Phase::finish, 40, 1);
  EXPECT_EQ(play({finished, healthy()}, 300).line, "");
  EXPECT_EQ(play({finished, finished}, 300).line, "");
  expect_verdict(play({finished, stays(Phase::exchange, 39, 2)}),
                 "no progress for 5.0 s: rank 1 on n1 is behind in phase exchange of step 39", 7);
}

}  // namespace
}  // namespace bitstill
