// JPEG and PNG files that lie about: found, and read one by one in a model's shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/data/image_shape.hpp"

namespace bitstill {

/// The files in `folder` and below whose names end in .jpg, .jpeg or .png, sorted bytewise; hidden
/// ones are passed over. Files of other names are added to *ignored.
/// std::filesystem::filesystem_error where a folder cannot be read.
std::vector<std::string> image_files_in(const std::string& folder, int64_t* ignored);

/// Files as they are given, whatever their names, and image_files_in folders, in the given order.
/// Error(data) names a path that does not exist or cannot be read, or a folder without images.
std::vector<std::string> list_images(const std::vector<std::string>& paths);

/// Decodes the file and fits it (image.hpp) into pixels[shape.pixels()]; thread-safe. Error(data)
/// naming the file and the reason.
void load_image(const std::string& path, const ImageShape& shape, uint8_t* pixels);

}  // namespace bitstill
