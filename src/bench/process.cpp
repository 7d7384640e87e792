#include "bitstill/bench/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <thread>

#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"

namespace bitstill {
namespace {

/// A file in memory that catches what a program writes, however much it is.
class Caught {
 public:
  explicit Caught(const char* name) : descriptor_(::memfd_create(name, MFD_CLOEXEC)) {}
  ~Caught() { ::close(descriptor_); }
  Caught(const Caught&) = delete;
  Caught& operator=(const Caught&) = delete;
  int descriptor() const { return descriptor_; }
  std::string text() const {
    std::string text;
    char buffer[4096];
    ssize_t count = 0;
    for (off_t at = 0; (count = ::pread(descriptor_, buffer, sizeof buffer, at)) > 0; at += count) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  int descriptor_;
};

std::string last_line(const std::string& text) {
  std::istringstream lines(text);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

std::vector<char*> pointers(Words& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// A program that has ended, and in `failure` how it failed; empty: it did not.
struct Ended {
  Finished result;
  std::string failure;
  int exit_code;  // -1: a signal ended it
};

Ended run_to_end(const Words& words, const Words& environment) {
  Words arguments = words, variables = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string inherited = *entry;
    const std::string name = inherited.substr(0, inherited.find('=') + 1);
    // Of two of a name C's getenv finds the first, a shell the last.
    const bool given = std::any_of(environment.begin(), environment.end(),
                                   [&](const std::string& own) { return own.starts_with(name); });
    if (!given) variables.push_back(inherited);
  }
  Caught out("bench.out"), errors("bench.err");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  const Timer timer;
  pid_t child = 0;
  const int refused = ::posix_spawnp(&child, words[0].c_str(), &actions, nullptr,
                                     pointers(arguments).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (refused != 0) {
    throw Error(ExitCode::environment,
                concat("cannot start ", words[0], ": ", std::strerror(refused)));
  }
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  Ended ended{{timer.seconds(), seconds(usage.ru_utime) + seconds(usage.ru_stime), out.text(),
               static_cast<double>(usage.ru_maxrss) / 1000},
              {},
              WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  if (status != 0) {
    const std::string how = ended.exit_code >= 0 ? concat("exit code ", ended.exit_code)
                                                 : concat("signal ", WTERMSIG(status));
    for (const std::string& word : words) ended.failure += word + " ";
    ended.failure += concat("failed (", how, "): ", last_line(errors.text()));
  }
  return ended;
}

}  // namespace

Finished run_program(const Words& words, const Words& environment) {
  Ended ended = run_to_end(words, environment);
  if (!ended.failure.empty()) throw ProgramFailed(ended.exit_code, ended.failure);
  return ended.result;
}

Words on_ranks(int ranks, const Words& command) {
  Words words = {"mpirun", "-n", std::to_string(ranks)};
  if (static_cast<int>(std::thread::hardware_concurrency()) >= ranks) {
    words.insert(words.end(), {"--bind-to", "core"});
  } else {
    words.insert(words.end(), {"--oversubscribe", "--bind-to", "none"});
  }
  if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::string own_path() {
  return std::filesystem::read_symlink("/proc/self/exe").string();
}

std::string checkout_file(const std::string& name) {
  const auto build = std::filesystem::path(own_path()).parent_path();
  const auto file = build.parent_path().parent_path() / name;
  return std::filesystem::exists(file) ? file.string() : "";
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('{')) {
      result.push_back(parse_json(line, "a line of a measured program", ExitCode::environment));
    }
  }
  return result;
}

std::vector<double> numbers_before(const std::string& unit, const std::string& begin,
                                   const std::string& text) {
  std::vector<double> numbers;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find_first_not_of(' '), end = line.find(unit);
    if (end == std::string::npos || line.compare(first, begin.size(), begin) != 0) continue;
    const std::string before = line.substr(0, end);
    const std::size_t start = before.find_last_not_of("0123456789.") + 1;
    if (start < before.size()) numbers.push_back(std::stod(before.substr(start)));
  }
  return numbers;
}

std::vector<Json> run_step(const Words& arguments) {
  Words command = {own_path(), "bench", "step"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return json_lines(run_program(on_ranks(kStepRanks, command)).output);
}

Peer::Peer(const std::string& script) {
  const char* folder = std::getenv("BITSTILL_PEERS");
  const char* python = std::getenv("BITSTILL_PEER_PYTHON");
  script_ = checkout_file("tests/bench/" + script);
  if ((script_.empty() && folder == nullptr) || python == nullptr) {
    absent_ = concat("BITSTILL_PEERS (folder of ", script,
                     ") or BITSTILL_PEER_PYTHON (a Python with PyTorch) is not set");
    return;
  }
  python_ = python;
  if (script_.empty()) script_ = concat(folder, "/", script);
  if (!std::filesystem::exists(script_)) absent_ = "there is no " + script_;
}

Finished Peer::run(const Words& arguments) const {
  Words words = {python_, "-m",   "torch.distributed.run", "--standalone", "--nproc-per-node",
                 "2",     script_};
  words.insert(words.end(), arguments.begin(), arguments.end());
  // PyTorch's processes now and then abort at their exit, with everything measured and printed.
  Ended ended = run_to_end(words, {"OMP_NUM_THREADS=1"});
  if (!ended.failure.empty() && json_lines(ended.result.output).empty()) {
    throw ProgramFailed(ended.exit_code, ended.failure);
  }
  return ended.result;
}

Finished Peer::run_in(const std::string& folder, const Words& arguments) const {
  Words words = {python_, script_}, environment = {"OMP_NUM_THREADS=1"};
  if (!folder.empty()) {
    words.insert(words.begin(), {"env", "-C", folder});
    environment.push_back("PYTHONPATH=" + folder);
  }
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_program(words, environment);
}

}  // namespace bitstill
