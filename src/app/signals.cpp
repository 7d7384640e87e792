#include <unistd.h>

#include <atomic>
#include <csignal>

#include "bitstill/base/error.hpp"
#include "command.hpp"

namespace bitstill {
namespace {

std::atomic<bool> stop_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the handler may only touch lock-free data");

void on_signal(int) {
  if (stop_flag.exchange(true)) _exit(static_cast<int>(ExitCode::stopped));
}

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
}

bool stop_requested() {
  return stop_flag.load(std::memory_order_relaxed);
}

bool stop_requested_anywhere(Communicator& control) {
  int64_t asked = stop_requested() ? 1 : 0;
  control.all_reduce(&asked, 1, ElementType::i64, Reduction::max);
  return asked != 0;
}

}  // namespace bitstill
