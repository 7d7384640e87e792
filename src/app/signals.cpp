#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "bitstill/base/error.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

/// A batch system sends its signal to the launcher, mpirun and the ranks at once, and each passes
/// it on: what comes within this time is the same request.
constexpr int64_t kCopiesWithin_ms = 2000;

std::atomic<int64_t> asked_ms{0};  // when the first signal came; 0: none has
static_assert(std::atomic<int64_t>::is_always_lock_free, "the handler may only touch such data");

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000 + 1;
}

/// launch/run.sh repeats SIGUSR1 until it is heard: only the others can mean "now".
void on_signal(int signal) {
  int64_t first_ms = 0;
  const int64_t ms = now_ms();
  if (asked_ms.compare_exchange_strong(first_ms, ms) || signal == SIGUSR1) return;
  if (ms - first_ms >= kCopiesWithin_ms) _exit(128 + signal);
}

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool stop_requested() {
  return asked_ms.load(std::memory_order_relaxed) != 0;
}

bool stop_requested_anywhere(Communicator& control) {
  int64_t asked = stop_requested() ? 1 : 0;
  control.all_reduce(&asked, 1, ElementType::i64, Reduction::max);
  return asked != 0;
}

}  // namespace bitstill
