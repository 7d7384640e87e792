// Which image goes into train, validation or test: a function of the images alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/data/image_source.hpp"

namespace bitstill {

/// The first 128 bits of the SHA-256 of an image's [C,H,W] bytes.
using ImageDigest = std::array<uint64_t, 2>;
ImageDigest image_digest(const uint8_t* pixels, int64_t bytes);

struct SplitResult {
  std::vector<std::optional<Split>> split;  // of each item; none where its digest is missing
  std::string rule;                         // in words, for the index
};

/// Keeps the splits the source has and cuts the others from its train images: within each class the
/// images are ranked by digest (equal ones by number), the first go to test, the next to
/// validation. `validation` and `test` are total counts, spread evenly over the classes (the first
/// classes take the remainder); -1: a tenth of each class, at least 1. Error(settings) where a
/// class is too small for them.
SplitResult split_images(const ImageSource& source,
                         const std::vector<std::optional<ImageDigest>>& digests, int64_t validation,
                         int64_t test);

}  // namespace bitstill
