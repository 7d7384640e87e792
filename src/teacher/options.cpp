#include "bitstill/teacher/options.hpp"

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

void check(const TeacherLayout& layout) {
  const auto require = [&](bool good, const char* name, int64_t value, const char* allowed) {
    if (!good) {
      throw Error(ExitCode::settings,
                  concat(layout.prefix, name, " = ", value, ": give ", allowed));
    }
  };
  require(layout.group >= 0, "group", layout.group, "0 (a host's ranks) or their number");
  require(layout.window >= 0, "window", layout.window, "0 (chosen) or bytes");
  require(layout.piece_bytes >= 4096, "piece_bytes", layout.piece_bytes, "4096 or more");
  require(layout.sweep_batches >= 0, "sweep_batches", layout.sweep_batches, "0 (all) or more");
  require(layout.memory_mb >= 0, "memory_mb", layout.memory_mb, "0 (no bound) or MB");
}

}  // namespace bitstill
