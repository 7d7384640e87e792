// Pictures to decode.
#pragma once

#include <cstdint>
#include <string>

namespace bitstill {

/// A JPEG with about as many bits a pixel as a photograph: brightness of all scales, colour of the
/// large ones. Equal numbers, equal pictures.
std::string photograph(int64_t height, int64_t width, uint64_t number);

}  // namespace bitstill
