// Notices ranks that stopped, hang or fell behind, and ends the job with one line that names them.
#pragma once

#include <atomic>
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
  forward,
  backward,
  exchange,
  update,
  validate,
  save,
  finish,
};
const char* phase_name(Phase phase);

/// One thread a rank. Every rank sends its (phase, step, sequence) over its own control
/// communicator several times per time-out, to rank 0 and from there back; no blocking call, so a
/// stopped rank stops nobody's watchdog. A rank whose sequence advances is alive; a rank that is
/// waiting inside an exchange is never blamed, the one it waits for is.
class Watchdog {
 public:
  /// timeout_s <= 0, one rank, or MPI without threads: no thread, nothing is watched.
  /// Collective: every rank of world calls this, in the same order.
  Watchdog(World& world, double timeout_s);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// This rank enters `phase` of `step`, or makes progress in it. Cheap: two relaxed stores.
  void progress(Phase phase, int64_t step);
  /// Seconds this rank may stay in one (phase, step) without progress: the time-out times
  /// `factor` from now on, for phases known to be long (load, save: 10).
  void allow(Phase phase, double factor);
  /// Ends the thread on all ranks together, before MPI is finalized. Collective.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitstill
