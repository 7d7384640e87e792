// A fault that a test asks for, where a rank enters a phase: --debug.inject KIND:PHASE,RANK,STEP.
#pragma once

#include <cstdint>
#include <string>

#include "bitstill/base/words.hpp"
#include "bitstill/comm/watchdog.hpp"

namespace bitstill {

enum class FaultKind { kill, segv, exit, thrown, stop, sleep, spin };
template <>
struct WordsOf<FaultKind> {
  using enum FaultKind;
  static constexpr Word<FaultKind> kTable[] = {
      {kill, "kill", "SIGKILL"},         {segv, "segv", "SIGSEGV"}, {exit, "exit", "with code 1"},
      {thrown, "throw", "an exception"}, {stop, "stop", "SIGSTOP"}, {sleep, "sleep", "for ever"},
      {spin, "spin", "busy, for ever"}};
};

/// Rank RANK meets it when it first enters PHASE (a word of phase_name) in step STEP or a later
/// one. Error(settings): another form, or the environment has no BITSTILL_TEST=1.
void inject_fault(const std::string& text, int own_rank);

/// Where this process enters a phase (Watchdog::progress calls it). One relaxed load without a
/// fault.
void meet_fault(Phase phase, int64_t step);

}  // namespace bitstill
