// What tests of damage share: how many rounds, and what becomes of a file's bytes.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>

#include "bitstill/base/random.hpp"

namespace bitstill {

/// BITSTILL_MUTATIONS, 2,000 by command; as many as given without it.
inline int mutations(int without) {
  const char* wish = std::getenv("BITSTILL_MUTATIONS");
  return wish == nullptr ? without : std::atoi(wish);
}

/// At byte `at`: one flipped, 16 zeroed, or there the end; or a longer file.
inline std::string damaged(std::string bytes, std::size_t at, RandomStream* stream) {
  switch (stream->below(5)) {
    case 0:
      return bytes.substr(0, at);
    case 1:
      return bytes + std::string(1 + stream->below(9), static_cast<char>(stream->next()));
    case 2:
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 16)), '\0');
      return bytes;
    default:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 + stream->below(255)));
      return bytes;
  }
}

}  // namespace bitstill
