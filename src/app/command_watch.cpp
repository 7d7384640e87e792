#include "command_watch.hpp"

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"

namespace bitstill {

void CommandWatch::add_settings(SettingTable& table) {
  table.add("run.timeout_s", &timeout_s_, "end the job when a rank makes no progress; 0: never");
}

void CommandWatch::begin(World& world) {
  agree(world.control(), [&] {
    if (timeout_s_ >= 0) return;
    throw Error(ExitCode::settings,
                concat("run.timeout_s = ", timeout_s_, ": give 0 (none) or the seconds to wait"));
  });
  watchdog_ = std::make_unique<Watchdog>(world, timeout_s_);
  watchdog_->allow(Phase::data, 1e6);
  watchdog_->progress(Phase::load, 0);
}

void CommandWatch::progress(bool waits) {
  watchdog_->progress(waits ? Phase::exchange : Phase::validate, 0);
}

void CommandWatch::patient() {
  watchdog_->progress(Phase::data, 0);
}

void CommandWatch::end() {
  watchdog_->stop();
}

}  // namespace bitstill
