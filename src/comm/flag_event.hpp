// The event of CPU channels.
#pragma once

#include <future>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/comm/channel.hpp"

namespace bitstill {

/// Happens when its future is set; get() rethrows what the work threw.
struct FlagEvent final : Event {
  explicit FlagEvent(std::shared_future<void> done_in) : done(std::move(done_in)) {}
  std::shared_future<void> done;
};

/// Blocks until `event` (null: at once) of a CPU channel has happened.
inline void wait_for_flag(const EventPtr& event) {
  if (!event) return;
  const auto* flag = dynamic_cast<const FlagEvent*>(event.get());
  if (!flag) throw Error(ExitCode::environment, "a device event was given to a CPU channel");
  flag->done.get();
}

}  // namespace bitstill
