// An image as a JPEG file.
#pragma once

#include <string>

#include "bitstill/data/image.hpp"

namespace bitstill {

/// Baseline, grey or colour with halved chroma (4:2:0); quality 1..100. Equal images give equal
/// bytes. Error(data) for sides that JPEG cannot have (above 65,500).
std::string encode_jpeg(const Image& image, int quality);

}  // namespace bitstill
