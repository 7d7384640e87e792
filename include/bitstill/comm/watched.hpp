// Where this process is, as its watchdog knows it: for who reports on the process from outside.
#pragma once

#include <optional>

#include "bitstill/comm/watchdog.hpp"

namespace bitstill {

struct Watched {
  Phase phase = Phase::start;
  int64_t step = 0;
  double timeout_s = 0;  // 0: nobody is watched
};

/// Of the newest Watchdog, also where it needs no thread (one rank) or has stopped; none before the
/// first. Thread-safe.
std::optional<Watched> watched();

}  // namespace bitstill
