// Ranks as threads of one process, for tests: no mpirun, every collective checked.
#pragma once

#include <functional>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

/// Runs body(comm) on `world` threads, each a rank, and returns when all have ended. If a rank
/// throws or returns while others wait for it, those get Error(peer); so does a rank that waits
/// longer than 60 s. Afterwards the exception of the lowest rank that failed by itself is rethrown.
/// Ranks that call different collectives, or with different counts, get Error(peer) saying so.
/// Sums are taken in rank order. Messages between ranks are synchronous: send returns once
/// received.
void run_as_ranks(int world, const std::function<void(Communicator&)>& body);

}  // namespace bitstill
