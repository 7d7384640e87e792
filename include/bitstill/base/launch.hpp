// What launch/run.sh tells the processes that it starts.
#pragma once

#include <cstdint>
#include <string>

namespace bitstill {

/// The call of launch/run.sh that started this process, and which of its starts this is:
/// BITSTILL_LAUNCH=TOKEN:GENERATION.
struct Launch {
  std::string token;  // empty: none
  int64_t generation = 0;
};
Launch own_launch();

}  // namespace bitstill
