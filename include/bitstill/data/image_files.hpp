// JPEG and PNG files that lie about: found, and read one by one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/image.hpp"
#include "bitstill/data/image_walk.hpp"

namespace bitstill {

/// Files as they are given, whatever their names, and the images of folders (walk_images), in the
/// given order. Error(data) names a path that does not exist or cannot be read, or a folder without
/// images.
ImageWalk list_images(const std::vector<std::string>& paths);

/// The file's bytes. Error(data) naming it.
std::string read_image_bytes(const std::string& path);

/// The decoded file. Error(data) naming the file and the reason, also that it has more than
/// `most_pixels` (height x width).
Image read_image(const std::string& path, int64_t most_pixels);

}  // namespace bitstill
