#include "bitstill/base/log.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

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
    print_error("two\nlines\x1B[31m");
    ProgressBar bar("not seen");
    bar.show(1, 2, "");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "hello\nwarning: low\nerror: two\\nlines\\x1b[31m\n");
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

TEST(Log, ALongLineKeepsItsEnd) {
  testing::internal::CaptureStderr();
  {
    const AsRank first(0);
    say("skipped " + std::string(100000, 'x') + ": not a JPEG");
    print_error(std::string(100000, 'x') + "; mend it so");
  }
  const std::string seen = testing::internal::GetCapturedStderr();
  EXPECT_EQ(seen.size(), 2 * 401u);
  EXPECT_NE(seen.find("x: not a JPEG\nerror: x"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("x; mend it so\n")) << seen;
}

TEST(LogDeathTest, TheBarSaysHowLongTheRestTakes) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process: it looks for a terminal
  const auto bar_in_a_terminal = [] {
    setenv("BITSTILL_TERMINAL", "1", 1);
    const AsRank first(0);
    ProgressBar bar("epoch 1/\t2");
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    bar.show(1, 1000, "loss 0.3");
    std::_Exit(0);
  };
  EXPECT_EXIT(bar_in_a_terminal(), testing::ExitedWithCode(0),
              R"(epoch 1/\\t2 \[\.+\] 1/1000  loss 0\.3  eta (18|19|2.|3.):)");
}

TEST(LogDeathTest, ALineTakesTheBarsPlace) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto bar_in_a_terminal = [] {
    setenv("BITSTILL_TERMINAL", "1", 1);
    const AsRank first(0);
    {
      ProgressBar bar("part");
      bar.show(0, 0, "");
      bar.show(1, 4, "too soon");
      bar.show(4, 4, "");
      say("a line");
      bar.clear();  // nothing is left of it
      bar.show(5, 4, "more");
    }
    say("end");
    std::_Exit(0);
  };
  const std::string begin = "\r\033\\[Kpart \\[";
  EXPECT_EXIT(bar_in_a_terminal(), testing::ExitedWithCode(0),
              "^" + begin + "\\.{30}\\] 0/0" + begin + "#{30}\\] 4/4\r\033\\[Ka line\n" + begin +
                  "#{30}\\] 5/4  more\r\033\\[Kend\n");
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
