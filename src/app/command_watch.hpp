// The watchdog of commands that do not train.
#pragma once

#include <memory>

#include "bitstill/comm/watchdog.hpp"
#include "bitstill/config/setting_table.hpp"

namespace bitstill {

/// From begin() to end() a rank that stopped is noticed, and in Phase::validate one that hangs.
class CommandWatch {
 public:
  void add_settings(SettingTable& table);  // run.timeout_s
  /// Error(settings). Collective; from here on the rank is in Phase::load.
  void begin(World& world);
  /// From here on this rank computes (validate), or waits for others.
  void progress(bool waits);
  /// From here on it may take its time: for input, output, or work of unknown length (data).
  void patient();
  /// Collective.
  void end();

 private:
  double timeout_s_ = 600;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace bitstill
