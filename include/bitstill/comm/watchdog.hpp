// Notices ranks that stopped, hang or fell behind, and ends the job with one line that names them.
#pragma once

#include <cstdint>
#include <memory>

#include "bitstill/comm/world.hpp"

namespace bitstill {

/// Where a rank is; what the watchdog's message names.
enum class Phase : int {
  start,
  load,
  data,
  teacher,
  gather,  // waits for a piece of the teacher, whose slices other ranks send
  forward,
  backward,
  exchange,
  update,
  validate,
  save,
  finish,  // waits for the other ranks to end
};
constexpr int kPhases = 12;
const char* phase_name(Phase phase);

/// One thread a rank. Every rank sends its (phase, step, sequence) over its own control
/// communicator several times per time-out, up a tree to rank 0, which answers
/// (src/comm/watch_node.hpp); no blocking call, so a stopped rank stops nobody's watchdog. A rank
/// whose sequence advances is alive; a rank that waits in a gather or an exchange is never blamed
/// while another is behind (how it judges: src/comm/judge.hpp). The line names the rank, its host,
/// phase and step; then the job ends with ExitCode::peer. Rank 0 speaks for all; if it is the
/// silent one, the lowest rank that still runs does.
class Watchdog {
 public:
  static constexpr int kFanOut = 16;

  /// timeout_s <= 0, one rank, or MPI without threads: no thread, nothing is watched.
  /// A rank has up to `fan_out` ranks that report to it.
  /// Collective: every rank of world calls this, in the same order.
  Watchdog(World& world, double timeout_s, int fan_out = kFanOut);
  /// Without stop(), as when an exception unwinds, this rank's thread ends alone.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// This rank enters `phase` of `step`, or makes progress in it. Cheap (two relaxed atomics) and
  /// thread-safe.
  void progress(Phase phase, int64_t step);
  /// Seconds this rank may stay in one (phase, step) without progress: the time-out times
  /// `factor`, from now on. At the start 10 for start, load and save, else 1. Thread-safe.
  void allow(Phase phase, double factor);
  /// Ends the thread on all ranks together, before MPI is finalized. Collective. A rank that comes
  /// early waits here for the others, still watching them.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitstill
