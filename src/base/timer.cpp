#include "bitstill/base/timer.hpp"

#include <ctime>

namespace bitstill {
namespace {

const Timer since_start;

}  // namespace

double process_seconds() {
  return since_start.seconds();
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace bitstill
