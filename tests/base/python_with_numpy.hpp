// For tests that compare with an independent decoder.
#pragma once

#include <cstdlib>
#include <string>

namespace bitstill {

/// The peers' Python, the first of the path, or Debian's, whichever has numpy; else empty.
inline std::string python_with_numpy() {
  const char* const peer = std::getenv("BITSTILL_PEER_PYTHON");
  for (const std::string python :
       {peer == nullptr ? "python3" : peer, "python3", "/usr/bin/python3"}) {
    if (std::system((python + " -c 'import numpy' 2> /dev/null").c_str()) == 0) return python;
  }
  return {};
}

}  // namespace bitstill
