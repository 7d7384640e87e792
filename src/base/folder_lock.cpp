#include "bitstill/base/folder_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <utility>

#include "bitstill/base/json.hpp"
#include "bitstill/base/launch.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kLongestWords = 4096;
/// A process that was killed takes its time to go.
constexpr double kDiesWithin_s = 2;

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

/// The first line of a file under /proc; empty where there is none.
std::string proc_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// When the process started, in ticks since boot: field 22 of /proc/PID/stat, counted behind the
/// name in parentheses, which may hold anything. Empty: no such process, or one that has ended and
/// whose parent has not asked for it yet.
std::string start_of(int64_t pid) {
  const std::string line = proc_line(concat("/proc/", pid, "/stat"));
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(line.substr(name_end + 1));
  std::string state, field;
  fields >> state;
  if (state == "Z" || state == "X") return "";
  for (int i = 4; i <= 22; ++i) fields >> field;
  return field;
}

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

Json holder_words() {
  const Launch launch = own_launch();
  return {{"host", host_name()},
          {"boot", proc_line("/proc/sys/kernel/random/boot_id")},
          {"pid", static_cast<int64_t>(getpid())},
          {"process_start", start_of(getpid())},
          {"job", environment("SLURM_JOB_ID")},
          {"restart", std::atoi(environment("SLURM_RESTART_COUNT").c_str())},
          {"launch", launch.token},
          {"generation", launch.generation},
          {"since", utc_now()},
          {"token", concat(std::random_device{}(), "-", std::random_device{}())}};
}

/// Whether who wrote `words` is known to be gone. Words that cannot be read were torn by a crash.
bool is_gone(const std::string& words) {
  const Json holder = Json::parse(words, nullptr, false);
  if (!holder.is_object()) return true;
  try {
    const std::string job = holder.value("job", "");
    if (!job.empty() && job == environment("SLURM_JOB_ID") &&
        holder.value("restart", 0) < std::atoi(environment("SLURM_RESTART_COUNT").c_str())) {
      return true;
    }
    if (holder.at("host") != host_name()) return false;
    if (holder.at("boot") != proc_line("/proc/sys/kernel/random/boot_id")) return true;
    return holder.at("process_start") != start_of(holder.at("pid").get<int64_t>());
  } catch (const Json::exception&) {
    return true;
  }
}

/// Whether an earlier start of this process's launch wrote `words`: launch/run.sh has given it up,
/// which may be stopped, or cut off on another host, and still hold the file.
bool is_given_up(const std::string& words) {
  const Json holder = Json::parse(words, nullptr, false);
  const Launch launch = own_launch();
  if (launch.token.empty() || !holder.is_object()) return false;
  try {
    return holder.value("launch", "") == launch.token &&
           holder.value("generation", launch.generation) < launch.generation;
  } catch (const Json::exception&) {
    return false;
  }
}

std::string name_of(const std::string& words) {
  const Json holder = Json::parse(words, nullptr, false);
  if (!holder.is_object()) return "another job";
  return concat("process ", holder.value("pid", int64_t{0}), " on ", holder.value("host", "?"),
                " since ", holder.value("since", "?"));
}

[[noreturn]] void refuse(const std::string& folder, const std::string& words) {
  throw Error(ExitCode::settings, concat(folder, " is in use by ", name_of(words),
                                         "; give another folder, or, if that job is gone, "
                                         "remove ",
                                         FolderLock::path_in(folder)));
}

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw_system_error(ExitCode::storage, path, what, errno);
}

std::string read_words(int file) {
  std::string words(kLongestWords, '\0');
  const ssize_t got = ::pread(file, words.data(), words.size(), 0);
  words.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return words;
}

/// Whether `path` still names the file behind the descriptor: a holder removes it when it ends.
bool is_named(int file, const std::string& path) {
  struct stat mine {
  }, named{};
  return ::fstat(file, &mine) == 0 && ::stat(path.c_str(), &named) == 0 &&
         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

}  // namespace

std::string FolderLock::path_in(const std::string& folder) {
  return folder + "/run.lock";
}

FolderLock::FolderLock(const std::string& folder) : path_(path_in(folder)) {
  const Timer timer;
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) fail("open", path_);
    // Who comes second of two that start together waits for no one: it is refused. Some network
    // file systems have no flock; there the words alone decide.
    const bool busy = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    const std::string words = read_words(descriptor_);
    if (!busy && !is_named(descriptor_, path_)) {
      ::close(std::exchange(descriptor_, -1));
      continue;
    }
    if (is_given_up(words)) {  // a new file: the old one stays the other's, which it may yet remove
      if (is_named(descriptor_, path_)) ::unlink(path_.c_str());
      ::close(std::exchange(descriptor_, -1));
      continue;
    }
    if (!busy && (words.empty() || is_gone(words))) break;
    ::close(std::exchange(descriptor_, -1));
    if (timer.seconds() > kDiesWithin_s) refuse(folder, words);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  words_ = holder_words().dump();
  const auto size = static_cast<ssize_t>(words_.size());
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, words_.data(), words_.size(), 0) != size) {
    const int reason = errno;
    release();
    errno = reason;
    fail("write", path_);
  }
  ::fsync(descriptor_);  // so that other hosts see it; where it fails, they find out
}

FolderLock::~FolderLock() {
  release();
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : path_(std::move(other.path_)),
      words_(std::move(other.words_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  if (this == &other) return *this;
  release();
  path_ = std::move(other.path_);
  words_ = std::move(other.words_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  return *this;
}

void FolderLock::require_held() const {
  if (descriptor_ < 0) return;
  std::string words;
  const int file =
      ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);  // asks the server anew
  if (file >= 0) {
    words = read_words(file);
    ::close(file);
  }
  if (words == words_) return;
  throw Error(ExitCode::peer,
              concat(path_, " is no longer this job's: ",
                     words.empty() ? "it was removed"
                                   : concat("taken over by ", name_of(words), ", a later start"),
                     "; nothing is written into that folder any more"));
}

void FolderLock::release() {
  if (descriptor_ < 0) return;
  if (is_named(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace bitstill
