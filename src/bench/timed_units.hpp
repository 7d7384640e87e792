// A network whose units say how long their passes take, for the profile of a step.
#pragma once

#include <memory>
#include <vector>

#include "bitstill/base/timer.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

/// Seconds of each unit, over all passes since restart(). A unit's backward pass ends where that of
/// the unit before begins; the first unit's is what is left of the whole.
class UnitSeconds {
 public:
  void restart(std::size_t units);
  const std::vector<double>& forward() const { return forward_; }
  /// `all_s`: of all backward passes together.
  std::vector<double> backward(double all_s) const;

 private:
  friend class TimedUnit;
  void begin_backward(std::size_t unit);

  std::vector<double> forward_, backward_;
  Timer clock_;
  double begun_s_ = 0;       // of the backward pass that runs
  std::size_t running_ = 0;  // its unit
};

/// `network`, whose units count into `seconds`, which outlives it.
std::unique_ptr<Network> timed(std::unique_ptr<Network> network, UnitSeconds& seconds);

}  // namespace bitstill
