#include "bitstill/base/log.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/run_log.hpp"
#include "scratch_folder.hpp"

namespace bitstill {
namespace {

/// Puts the place back as it was, so that tests do not depend on their order.
struct AsRank {
  Place before = log_place();
  explicit AsRank(int rank) {
    Place place;
    place.rank = rank;
    place.world = 4;
    set_log_place(place);
  }
  ~AsRank() { set_log_place(before); }
};

TEST(Log, OnlyRankZeroSpeaksButAnyRankFails) {
  testing::internal::CaptureStderr();
  {
    const AsRank first(0);
    say("hello");
    warn("low");
  }
  {
    const AsRank third(2);
    say("not seen");
    warn("not seen");
    print_error("two\nlines");
    ProgressBar bar("not seen");
    bar.show(1, 2, "");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "hello\nwarning: low\nerror: two lines\n");
}

TEST(Log, NoBarWithoutATerminal) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar("epoch");
    bar.show(1, 2, "loss 0.3");
    bar.clear();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(RunLog, WritesALineEachAndResumes) {
  const ScratchFolder scratch;
  const std::string path = scratch / "run.jsonl";
  const auto content = [&] { return read_file(path, ExitCode::storage); };
  {
    RunLog log(path, false);
    log.write({{"step", 1}, {"loss", 0.5}});
    EXPECT_EQ(content(), "{\"step\":1,\"loss\":0.5}\n");  // flushed at once
    log.write({{"note", "\xFF\n"}});
  }
  const std::string whole = content();
  replace_file(path, whole + "{\"step\":");  // killed half way
  RunLog(path, true).write({{"step", 2}});
  EXPECT_EQ(content(), whole + "{\"step\":2}\n");
  RunLog(path, false).write({{"step", 0}});
  EXPECT_EQ(content(), "{\"step\":0}\n");
}

TEST(RunLog, IsSilentOnOtherRanksAndWithoutAPath) {
  const ScratchFolder scratch;
  const AsRank second(1);
  RunLog(scratch / "run.jsonl", false).write({{"step", 1}});
  EXPECT_FALSE(std::filesystem::exists(scratch / "run.jsonl"));
  RunLog().write({{"step", 1}});
}

TEST(RunLog, SaysWhyItCannotWrite) {
  const auto expect_storage = [](const auto& act, const char* part) {
    try {
      act();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::storage));
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_storage([] { RunLog("/nonexistent/run.jsonl", false); }, "No such file");
  RunLog full("/dev/full", true);
  expect_storage([&] { full.write({{"step", 1}}); }, "No space left");
}

}  // namespace
}  // namespace bitstill
