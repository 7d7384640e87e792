// Which rank is to blame: the watchdog's reasoning, without threads, clocks or messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/comm/watchdog.hpp"

namespace bitstill {

/// What a rank says of itself.
struct Report {
  Phase phase = Phase::start;
  int64_t step = 0;
  int64_t sequence = 0;   // advances with every progress
  double limit_s = 0;     // how long it may stay so
  bool stopping = false;  // it waits in Watchdog::stop() for the others
};

/// Hears every rank's reports and names the culprits once a time-out has passed:
/// 1. Ranks not heard for the time-out do not answer. While a rank is suspiciously silent nobody
///    else is blamed.
/// 2. Of the ranks that do not wait for others (phases gather, exchange and finish), those farthest
/// behind
///    by (step, phase), if they have been there beyond their limit. One farther behind that is
///    within its limit excuses the rest: they may be waiting for it.
/// 3. If all wait: those in a gather or an exchange that are farthest behind by (step, phase), once
///    all of them are beyond their limit.
class Judge {
 public:
  /// `silence_s`: how long a healthy rank may be silent.
  Judge(std::vector<std::string> hosts, double timeout_s, double silence_s);
  /// `when_s`: when it said so.
  void hear(std::size_t rank, const Report& report, double when_s);
  /// The job's last line, or "" while all is well.
  std::string verdict(double now_s) const;
  /// The same for ranks that do not answer, of those in `among` alone.
  std::string silent(const std::vector<std::size_t>& among, double now_s) const;

 private:
  struct Rank {
    Report report;
    double heard_s = 0;     // last report of any kind
    double progress_s = 0;  // last report that differs from the one before
  };
  std::string name(const std::vector<std::size_t>& culprits) const;
  std::string behind(double now_s) const;
  std::string stuck(double now_s) const;
  std::string late_line(const std::vector<std::size_t>& culprits) const;
  bool late(std::size_t rank, double now_s) const;

  std::vector<std::string> hosts_;
  std::vector<Rank> ranks_;
  double timeout_s_, silence_s_;
};

}  // namespace bitstill
