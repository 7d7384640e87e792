#include "bitstill/base/launch.hpp"

#include <cstdlib>

namespace bitstill {

Launch own_launch() {
  const char* const value = std::getenv("BITSTILL_LAUNCH");
  const std::string words = value != nullptr ? value : "";
  const auto colon = words.find(':');
  if (colon == std::string::npos) return {};
  return {words.substr(0, colon), std::atoi(words.c_str() + colon + 1)};
}

}  // namespace bitstill
