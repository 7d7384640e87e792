#include "bitstill/report/find_runs.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "bitstill/base/file.hpp"
#include "bitstill/report/summary.hpp"
#include "log_folder.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;

class FindRuns : public testing::Test {
 protected:
  FindRuns() : folder_("") { fs::remove(folder_.path() + "/run.jsonl"); }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string add_run(const std::string& name, const std::string& log = whole_log()) const {
    fs::create_directories(path(name));
    replace_file(path(name) + "/run.jsonl", log);
    return path(name);
  }

 private:
  LogFolder folder_;
};

TEST_F(FindRuns, SearchesFoldersAndSkipsTheRest) {
  const std::string a = add_run("grid/b/a"), b = add_run("grid/b/b"), c = add_run("c");
  add_run("c/checkpoints");        // within a run: none of its own
  add_run("grid/.trash/deleted");  // hidden
  fs::create_directory_symlink(path("grid"), path("grid/b/loop"));
  fs::create_directory(path("empty"));
  replace_file(path("notes.txt"), "x");
  const FoundRuns found = find_runs({path("grid"), path("empty"), path("notes.txt"), c, a});
  EXPECT_EQ(found.folders, (Paths{a, b, c}));
  EXPECT_EQ(found.skipped, (Paths{path("empty"), path("notes.txt")}));
}

TEST_F(FindRuns, APathThatIsNotThereAndNoRunAtAllAreErrors) {
  add_run("a");
  fs::create_directory(path("empty"));
  for (const auto& [paths, part] :
       {std::pair<Paths, std::string>{{path("a"), path("typo")}, "/typo: there is no such folder"},
        {{path("empty")}, "no run in " + path("empty")}}) {
    try {
      find_runs(paths);
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_TRUE(contains(error.what(), part)) << error.what();
    }
  }
}

TEST_F(FindRuns, ADamagedLogDoesNotKeepTheOthersAway) {
  const std::string good = add_run("good"), bad = add_run("bad", "{\"type\":7}\n");
  const auto runs = read_runs({good, bad});
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].test.accuracy, 97.5);
  ASSERT_EQ(runs[1].notes.size(), 1u);
  EXPECT_TRUE(contains(runs[1].notes[0], "run.jsonl:1: \"type\" is not a text"));
  EXPECT_TRUE(contains(report_table(runs), "note: " + bad));
  EXPECT_THROW(read_runs({bad}), Error);
}

class Teachers : public FindRuns {
 protected:
  /// A teacher's log that ended at `ended`, on the data `data`.
  std::string teacher_log(const std::string& ended, const std::string& data,
                          const std::string& method = "none") const {
    return R"({"type":"start","data":")" + data + R"(","settings":{"quant.method":")" + method +
           "\"}}\n" + R"({"type":"end","time":")" + ended +
           R"(","test":{"samples":1000,"correct":978},"files":{"student.safetensors":{"bytes":9},)" +
           R"("master.safetensors":{"bytes":6000000}}})"
           "\n";
  }
  /// The student of whole_log() whose teacher's file is `file`.
  LoggedRun student(const std::string& file) const {
    std::string log = whole_log();
    const std::string before = "runs/teacher/master.safetensors";
    return read_runs({add_run("student", log.replace(log.find(before), before.size(), file))})[0];
  }
  const std::string before_ = "2025-12-31T23:59:59Z";  // whole_log() begins a second later
};

TEST_F(Teachers, GivePointsAndSizeFromTheirOwnRun) {
  const std::string teacher = add_run("teacher", teacher_log(before_, "d1"));
  const LoggedRun run = student(teacher + "/master.safetensors");
  EXPECT_DOUBLE_EQ(run.teacher.test.accuracy, 97.8);
  const Summary summary = summarize({run})[0];
  EXPECT_NEAR(summary.to_teacher.mean, -0.3, 1e-9);
  EXPECT_TRUE(summary.to_teacher.low < -1 && summary.to_teacher.high > 0.5);
  EXPECT_NEAR(summary.under_teacher, 6000000.0 / 10207, 1e-9);
  EXPECT_NEAR(summary.under_fp32, 63258.0 / 10207, 1e-9);
  EXPECT_TRUE(contains(report_page({run}), "Points to the teacher"));
  EXPECT_TRUE(contains(report_page({run}), ">588x<"));
}

TEST_F(Teachers, AreFoundByNameWhereFoldersWereMoved) {
  add_run("teacher", teacher_log(before_, "d1"));
  std::vector<LoggedRun> runs = {student("/gone/teacher/master.safetensors"),
                                 read_run(path("teacher"))};
  find_teachers(runs);
  EXPECT_DOUBLE_EQ(runs[0].teacher.test.accuracy, 97.8);
}

TEST_F(Teachers, OfOtherDataMadeLaterOrOfAnotherFileSayNothing) {
  for (const std::string& log :
       {teacher_log(before_, "d2"), teacher_log("2026-01-01T00:00:01Z", "d1"),
        teacher_log(before_, "d1", "uniform"), std::string("{\"type\":7}\n")}) {
    const std::string teacher = add_run("teacher", log);
    EXPECT_TRUE(std::isnan(student(teacher + "/master.safetensors").teacher.test.accuracy)) << log;
  }
  const std::string teacher = add_run("teacher", teacher_log(before_, "d1"));
  EXPECT_TRUE(std::isnan(student(teacher + "/student.safetensors").teacher.test.accuracy));
}

}  // namespace
}  // namespace bitstill
