#include "bitstill/base/folder_lock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "bitstill/base/file.hpp"
#include "bitstill/base/json.hpp"
#include "scratch_folder.hpp"
#include "thrown_error.hpp"

namespace bitstill {
namespace {

std::string refusal(const std::string& folder) {
  try {
    const FolderLock lock(folder);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "";
}

void plant(const std::string& folder, const Json& words) {
  std::ofstream(FolderLock::path_in(folder)) << words.dump();
}

/// What a lock of this process says, the file removed.
Json own_words(const std::string& folder) {
  return Json::parse(FolderLock(folder).words());
}

TEST(FolderLock, ASecondJobIsRefusedWhileTheFirstRuns) {
  const ScratchFolder folder;
  {
    const FolderLock lock(folder.path());
    EXPECT_EQ(read_file(FolderLock::path_in(folder.path()), ExitCode::storage), lock.words());
    const std::string why = refusal(folder.path());
    EXPECT_NE(why.find(std::to_string(getpid())), std::string::npos) << why;
    EXPECT_NE(why.find("run.lock"), std::string::npos) << why;
  }
  EXPECT_FALSE(std::filesystem::exists(FolderLock::path_in(folder.path())));
  EXPECT_EQ(refusal(folder.path()), "");
}

TEST(FolderLock, AnotherProcessIsRefusedToo) {
  const ScratchFolder folder;
  const FolderLock lock(folder.path());
  const pid_t child = fork();
  if (child == 0) {
    try {
      const FolderLock second(folder.path());
      _exit(0);
    } catch (const Error&) {
      _exit(7);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(FolderLock, AKilledHolderIsReplaced) {
  const ScratchFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    _exit(0);  // no destructor: as if killed
  }
  siginfo_t ended{};
  waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT);  // it stays a zombie
  ASSERT_TRUE(std::filesystem::exists(FolderLock::path_in(folder.path())));
  EXPECT_EQ(refusal(folder.path()), "");
  waitpid(child, nullptr, 0);
}

TEST(FolderLock, WhoIsGoneByItsWordsIsReplaced) {
  const ScratchFolder folder;
  Json words = own_words(folder.path());
  plant(folder.path(), words);  // this process runs, at this start time
  EXPECT_NE(refusal(folder.path()), "");
  words["process_start"] = "1";  // the number was given to a new process
  plant(folder.path(), words);
  EXPECT_EQ(refusal(folder.path()), "");
  words = own_words(folder.path());
  words["boot"] = "another";
  plant(folder.path(), words);
  EXPECT_EQ(refusal(folder.path()), "");
  std::ofstream(FolderLock::path_in(folder.path())) << "{\"host\": \"to";  // torn
  EXPECT_EQ(refusal(folder.path()), "");
}

TEST(FolderLock, AHolderOnAnotherHostCountsAsRunningUnlessItsSlurmJobStartedAnew) {
  const ScratchFolder folder;
  Json words = own_words(folder.path());
  words["host"] = "elsewhere";
  plant(folder.path(), words);
  EXPECT_NE(refusal(folder.path()).find("elsewhere"), std::string::npos);
  words["job"] = "123";
  plant(folder.path(), words);
  setenv("SLURM_JOB_ID", "123", 1);
  EXPECT_NE(refusal(folder.path()), "");  // the same start of the same job
  setenv("SLURM_RESTART_COUNT", "1", 1);
  setenv("SLURM_JOB_ID", "124", 1);
  EXPECT_NE(refusal(folder.path()), "");  // another job
  setenv("SLURM_JOB_ID", "123", 1);
  EXPECT_EQ(refusal(folder.path()), "");
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_RESTART_COUNT");
}

/// As if launch/run.sh had started this process.
struct Launched {
  explicit Launched(const char* launch) { setenv("BITSTILL_LAUNCH", launch, 1); }
  ~Launched() { unsetenv("BITSTILL_LAUNCH"); }
};

/// How require_held answers; empty: it is held.
std::string loss(const FolderLock& lock) {
  try {
    lock.require_held();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::peer);
    return error.what();
  }
  return "";
}

TEST(FolderLock, ALaterStartOfTheSameLaunchTakesItFromOneThatRuns) {
  const ScratchFolder folder;
  std::optional<Launched> launched(std::in_place, "aa:1");
  std::optional<FolderLock> old(std::in_place, folder.path());  // with flock
  const Json words = Json::parse(old->words());
  EXPECT_EQ(words.at("launch"), "aa");
  EXPECT_EQ(words.at("generation"), 1);
  EXPECT_NE(refusal(folder.path()), "");  // the same start
  for (const char* other : {"aa:0", "bb:7"}) {
    launched.emplace(other);
    EXPECT_NE(refusal(folder.path()), "") << other;
    EXPECT_EQ(loss(*old), "") << other;
  }
  launched.emplace("aa:2");
  const FolderLock later(folder.path());
  EXPECT_NE(loss(*old).find("taken over"), std::string::npos);
  EXPECT_EQ(loss(*old).find('\n'), std::string::npos);
  EXPECT_EQ(loss(later), "");
  old.reset();  // removes its own file only
  EXPECT_EQ(loss(later), "");
  EXPECT_NE(refusal(folder.path()), "");
}

TEST(FolderLock, ALaterStartTakesItFromAnotherHostToo) {
  const ScratchFolder folder;
  Json words = own_words(folder.path());
  words["host"] = "elsewhere";
  words["launch"] = "aa";
  words["generation"] = 0;
  plant(folder.path(), words);
  EXPECT_NE(refusal(folder.path()), "");
  const Launched launched("aa:1");
  EXPECT_EQ(refusal(folder.path()), "");
  words["generation"] = "none";  // not a number: written by another program
  plant(folder.path(), words);
  EXPECT_NE(refusal(folder.path()), "");
}

TEST(FolderLock, ALockWhoseFileWasRemovedIsNoLongerHeld) {
  const ScratchFolder folder;
  const FolderLock lock(folder.path());
  EXPECT_EQ(loss(lock), "");
  EXPECT_EQ(loss(FolderLock()), "");  // holds nothing, loses nothing
  std::filesystem::remove(FolderLock::path_in(folder.path()));
  EXPECT_NE(loss(lock).find("removed"), std::string::npos);
}

TEST(FolderLock, ALinkInItsPlaceIsNotFollowed) {
  const ScratchFolder folder;
  const std::string target = folder.path() + "/precious";
  std::ofstream(target) << "kept";
  std::filesystem::create_symlink(target, FolderLock::path_in(folder.path()));
  EXPECT_THROW(FolderLock{folder.path()}, Error);
  EXPECT_EQ(read_file(target, ExitCode::storage), "kept");
}

TEST(FolderLock, ALockThatIsMovedKeepsItsFolderAndGivesUpItsOther) {
  const ScratchFolder first, second;
  FolderLock lock(first.path());
  lock = FolderLock(second.path());
  EXPECT_EQ(refusal(first.path()), "");
  EXPECT_NE(refusal(second.path()), "");
  FolderLock other(std::move(lock));
  EXPECT_EQ(loss(other), "");
  FolderLock& same = other;
  other = std::move(same);
  EXPECT_NE(refusal(second.path()), "");
  other = FolderLock();
  EXPECT_EQ(refusal(second.path()), "");
}

TEST(FolderLock, WordsOfAnotherProgramNameNobody) {
  const ScratchFolder folder;
  const std::string path = FolderLock::path_in(folder.path());
  for (const Json& words : {Json{{"job", 5}}, Json{{"pid", 1}}, Json("word")}) {
    plant(folder.path(), words);
    EXPECT_EQ(refusal(folder.path()), "") << words;
  }
  plant(folder.path(), "word");
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(file, LOCK_EX), 0);
  const std::string why = refusal(folder.path());
  EXPECT_NE(why.find("is in use by another job; give another folder"), std::string::npos) << why;
  ::close(file);
}

TEST(FolderLock, AFullDiskLeavesNoLock) {
  const ScratchFolder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  const std::string why = error_of(ExitCode::storage, [&] { FolderLock{folder.path()}; });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_HOLDS(why, "run.lock: cannot write: File too large");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace bitstill
