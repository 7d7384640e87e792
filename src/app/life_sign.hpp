// What launch/run.sh sees of a job: a line a second on rank 0's standard error, which it takes out.
#pragma once

#include <cstdint>

// All of it does nothing in a process that launch/run.sh did not start (no BITSTILL_LAUNCH in its
// environment) or that is not rank 0. Thread-safe.
namespace bitstill::life_sign {

/// Starts a thread that writes once a second, and at once where more than the step has changed,
///   \x1e{"token":"...","generation":0,"host":"a","phase":"start","step":0,"timeout_s":null,
///        "saved":-1,"stop":"none"}
/// in one line and one write(2). phase: "start" until the first watchdog is up, then where that one
/// says this rank is. stop: asked (a signal has come), done (note_stop_done). Before MPI_Init.
void start();

/// A command without a watchdog has started: the phase is "run" until there is one.
void note_running();
/// The newest checkpoint that is on disk, by its step.
void note_saved(int64_t step);
/// All that the next start needs is on disk, and this one ends by ExitCode::stopped. The line is
/// written before this returns: nothing that happens from now on makes it a failure.
void note_stop_done();

}  // namespace bitstill::life_sign
