// Wall-clock time.
#pragma once

#include <chrono>
#include <string>

namespace bitstill {

/// Counts seconds since its construction or the last restart.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// Seconds since the last lap (or the start), and begins a new one.
  double lap() {
    const auto now = Clock::now();
    const double passed = std::chrono::duration<double>(now - start_).count();
    start_ = now;
    return passed;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Seconds since this process began.
double process_seconds();

/// Now in UTC, ISO 8601: 2018-02-15T12:00:00Z.
std::string utc_now();

}  // namespace bitstill
