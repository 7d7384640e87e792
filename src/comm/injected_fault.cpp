#include "bitstill/comm/injected_fault.hpp"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

struct Fault {
  FaultKind kind = FaultKind::kill;
  Phase phase = Phase::start;
  int64_t step = 0;
};
Fault fault;  // written before `waits`
std::atomic<bool> waits{false};

constexpr const char* kName = "debug.inject";

Error unreadable(const std::string& text) {
  return {ExitCode::settings,
          concat(kName, " = ", text, ": give KIND:PHASE,RANK,STEP, such as kill:exchange,1,5")};
}

Phase phase_of(const std::string& name, const std::string& text) {
  for (int i = 0; i < kPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (name == phase_name(phase)) return phase;
  }
  throw unreadable(text);
}

int64_t number(const std::string& digits, const std::string& text) {
  int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || value < 0) throw unreadable(text);
  return value;
}

void strike(int64_t step) {
  switch (fault.kind) {
    case FaultKind::kill:
      std::raise(SIGKILL);
      break;
    case FaultKind::segv:
      std::signal(SIGSEGV, SIG_DFL);
      std::raise(SIGSEGV);
      break;
    case FaultKind::exit:
      _exit(1);
    case FaultKind::thrown:
      throw std::runtime_error(concat("the exception that ", kName, " asked for, in phase ",
                                      phase_name(fault.phase), " of step ", step));
    case FaultKind::stop:
      std::raise(SIGSTOP);
      break;
    case FaultKind::sleep:
      for (;;) pause();
    case FaultKind::spin:
      for (std::atomic<int64_t> rounds{0};;) ++rounds;
  }
}

}  // namespace

void inject_fault(const std::string& text, int own_rank) {
  const char* const test = std::getenv("BITSTILL_TEST");
  if (test == nullptr || std::string(test) != "1") {
    throw Error(
        ExitCode::settings,
        concat(kName, " = ", text, ": harms a run, for tests alone, which set BITSTILL_TEST=1"));
  }
  const std::size_t colon = text.find(':'), first = text.find(',', colon),
                    second = text.find(',', first + 1);
  if (colon == std::string::npos || first == std::string::npos || second == std::string::npos) {
    throw unreadable(text);
  }
  fault.kind = from_word<FaultKind>(text.substr(0, colon), kName);
  fault.phase = phase_of(text.substr(colon + 1, first - colon - 1), text);
  fault.step = number(text.substr(second + 1), text);
  waits = number(text.substr(first + 1, second - first - 1), text) == own_rank;
}

void meet_fault(Phase phase, int64_t step) {
  if (!waits.load(std::memory_order_relaxed) || phase != fault.phase || step < fault.step) return;
  if (waits.exchange(false)) strike(step);
}

}  // namespace bitstill
