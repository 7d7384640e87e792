#include <gtest/gtest.h>

#include <cmath>

#include "bitstill/base/error.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"
#include "log_folder.hpp"

namespace bitstill {
namespace {

TEST(ReadRun, KeepsWhatTheLogSays) {
  const LogFolder folder(whole_log());
  const LoggedRun run = read_run(folder.path() + "/");
  EXPECT_EQ(run.name, std::filesystem::path(folder.path()).filename().string());
  EXPECT_TRUE(run.finished);
  EXPECT_TRUE(run.notes.empty());
  ASSERT_EQ(run.steps.size(), 2u);
  EXPECT_EQ(run.steps[0].soft_loss, 1.25);
  EXPECT_TRUE(std::isnan(run.steps[1].loss));
  ASSERT_EQ(run.epochs.size(), 1u);
  EXPECT_EQ(run.epochs[0].validation.accuracy, 91.25);
  EXPECT_EQ(run.test.low, 96.3);
  EXPECT_EQ(run.settings[1].second, "4");
  const NamedNumbers ms = mean_values(run.steps, &StepRecord::ms);
  EXPECT_EQ(ms, (NamedNumbers{
                    {"forward", 4}, {"backward", 7}, {"exchange", 1.5}, {"exchange_busy", 3.5}}));
}

TEST(ReadRun, CountsGiveTheIntervalThatIsMissing) {
  const LogFolder folder("{\"type\":\"end\",\"test\":{\"samples\":1000,\"correct\":975}}\n");
  const LoggedRun run = read_run(folder.path());
  EXPECT_DOUBLE_EQ(run.test.accuracy, 97.5);
  EXPECT_NEAR(run.test.low, 96.34, 0.01);
  EXPECT_NEAR(run.test.high, 98.30, 0.01);
}

TEST(ReadRun, NoImagesAreNoAccuracy) {
  for (const char* more : {"", ",\"correct\":0,\"accuracy\":0,\"low\":0,\"high\":100"}) {
    const LogFolder folder(std::string("{\"type\":\"end\",\"test\":{\"samples\":0") + more +
                           "}}\n");
    const LoggedRun run = read_run(folder.path());
    EXPECT_EQ(run.test.samples, 0);
    EXPECT_TRUE(std::isnan(run.test.accuracy)) << run.test.accuracy;
    EXPECT_TRUE(std::isnan(run.test.low) && std::isnan(run.test.high));
  }
}

TEST(ReadRun, IgnoresATornLastLineWithANote) {
  const LogFolder folder(whole_log() + "{\"type\":\"step\",\"epo");
  const LoggedRun run = read_run(folder.path());
  EXPECT_EQ(run.steps.size(), 2u);
  ASSERT_EQ(run.notes.size(), 1u);
  EXPECT_NE(run.notes[0].find("(6) is torn"), std::string::npos) << run.notes[0];
}

TEST(ReadRun, KeepsAWholeLastLineWithoutNewline) {
  const LogFolder folder("{\"type\":\"step\",\"epoch\":0.25}");
  EXPECT_EQ(read_run(folder.path()).steps.size(), 1u);
}

TEST(ReadRun, NamesFileAndLineOfAMalformedLine) {
  for (const char* bad : {"{\"type\":\"st", "[1]", "{}", "{\"type\":\"step\",\"loss\":\"big\"}",
                          "{\"type\":\"step\",\"ms\":7}", "{\"type\":3}"}) {
    const LogFolder folder("{\"type\":\"start\"}\n\n" + std::string(bad) +
                           "\n{\"type\":\"end\"}\n");
    try {
      read_run(folder.path());
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_NE(std::string(error.what()).find(folder.path() + "/run.jsonl:3: "), std::string::npos)
          << error.what();
    }
  }
}

TEST(ReadRun, MissingFolderIsADataError) {
  try {
    read_run("/nonexistent/run");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/run/run.jsonl"), std::string::npos);
  }
}

TEST(ReadRun, AResumedRunCountsOnlyTheSecondTime) {
  const LogFolder folder(
      "{\"type\":\"start\"}\n{\"type\":\"step\",\"epoch\":0.5,\"loss\":3}\n"
      "{\"type\":\"epoch\",\"epoch\":1}\n{\"type\":\"step\",\"epoch\":1.5,\"loss\":2}\n"
      "{\"type\":\"start\"}\n{\"type\":\"resumed\",\"epoch\":1,\"step\":8}\n"
      "{\"type\":\"step\",\"epoch\":1.5,\"loss\":1}\n{\"type\":\"epoch\",\"epoch\":2}\n");
  const LoggedRun run = read_run(folder.path());
  ASSERT_EQ(run.steps.size(), 2u);
  EXPECT_EQ(run.steps[0].loss, 3);
  EXPECT_EQ(run.steps[1].loss, 1);
  EXPECT_EQ(run.epochs.size(), 2u);
  EXPECT_EQ(run.notes.front(), "resumed after epoch 1");
  EXPECT_FALSE(run.finished);
}

TEST(ReadRun, ARestartTellsWhatItLost) {
  const LogFolder folder(
      "{\"type\":\"start\"}\n{\"type\":\"step\",\"epoch\":0.5,\"step\":12,\"loss\":3}\n"
      "{\"type\":\"start\",\"restart\":{\"number\":1,\"hosts_lost\":\"b,c\"}}\n"
      "{\"type\":\"resumed\",\"epoch\":0.25,\"step\":5}\n");
  const LoggedRun run = read_run(folder.path());
  ASSERT_GE(run.notes.size(), 2u);
  EXPECT_EQ(run.notes[0], "restart 1 by its launcher, without the hosts b,c");
  EXPECT_EQ(run.notes[1], "resumed after epoch 0.25, 7 steps done again");
}

TEST(ReadRun, ARunThatBeginsAnewCountsOnlyTheSecondTime) {
  const std::string start = R"({"type":"start"})"
                            "\n";
  const std::string steps = R"({"type":"step","epoch":0.5,"step":4,"loss":3})"
                            "\n"
                            R"({"type":"step","epoch":1,"step":8,"loss":2})"
                            "\n";
  const std::string epoch = R"({"type":"epoch","epoch":1})"
                            "\n";
  // Killed before its first checkpoint: nothing says that it was resumed.
  const LogFolder twice(start + steps + epoch + start + steps + epoch);
  EXPECT_EQ(read_run(twice.path()).steps.size(), 2u);
  EXPECT_EQ(read_run(twice.path()).epochs.size(), 1u);
  const LogFolder going(start + steps + epoch + start + R"({"type":"step","epoch":0.5,"loss":1})");
  ASSERT_EQ(read_run(going.path()).steps.size(), 1u);
  EXPECT_EQ(read_run(going.path()).steps[0].loss, 1);
  EXPECT_TRUE(read_run(going.path()).epochs.empty());
}

TEST(ReadRun, ARunResumedWithinAnEpochKeepsItsFirstHalf) {
  const LogFolder folder(
      "{\"type\":\"start\"}\n{\"type\":\"epoch\",\"epoch\":1}\n"
      "{\"type\":\"step\",\"epoch\":1.5,\"loss\":3}\n{\"type\":\"step\",\"epoch\":1.75,\"loss\":2}"
      "\n"
      "{\"type\":\"start\"}\n{\"type\":\"resumed\",\"epoch\":1.5,\"step\":12}\n"
      "{\"type\":\"step\",\"epoch\":1.75,\"loss\":1}\n");
  const LoggedRun run = read_run(folder.path());
  ASSERT_EQ(run.steps.size(), 2u);
  EXPECT_EQ(run.steps[0].loss, 3);
  EXPECT_EQ(run.steps[1].loss, 1);
  EXPECT_EQ(run.epochs.size(), 1u);
}

TEST(ReadRun, AFinishedRunThatGoesOnHasNoFiguresYet) {
  const LogFolder folder(whole_log() +
                         "{\"type\":\"start\"}\n{\"type\":\"resumed\",\"epoch\":1}\n");
  const LoggedRun run = read_run(folder.path());
  EXPECT_EQ(run.started, "2026-01-01T00:00:00Z");
  EXPECT_EQ(run.epochs.size(), 1u);
  EXPECT_TRUE(std::isnan(run.test.accuracy));
  EXPECT_TRUE(run.files.empty());
  EXPECT_FALSE(run.finished);
}

TEST(ReadRun, AnIntervalWeighsAsManyStepsAsItHas) {
  const LogFolder folder(R"({"type":"step","epoch":0.5,"steps":3,"ms":{"forward":1}})"
                         "\n"
                         R"({"type":"step","epoch":1,"steps":1,"ms":{"forward":5}})"
                         "\n");
  EXPECT_EQ(mean_values(read_run(folder.path()).steps, &StepRecord::ms),
            (NamedNumbers{{"forward", 2}}));
}

TEST(ReadRun, AnEmptyLogIsARunThatSaysNothing) {
  const LogFolder folder("");
  const LoggedRun run = read_run(folder.path());
  EXPECT_FALSE(run.finished);
  EXPECT_EQ(run.notes.front(), "the log is empty");
  EXPECT_TRUE(std::isnan(run.parameters));
}

}  // namespace
}  // namespace bitstill
