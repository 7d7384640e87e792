#include "bitstill/data/image_files.hpp"

#include <filesystem>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image.hpp"
#include "bitstill/data/shard_index.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostImageBytes = uint64_t{1} << 28;  // of a file

/// What else is known of a folder without images.
std::string why_none(const std::string& folder, const ImageWalk& walk) {
  if (fs::exists(fs::path(folder) / kIndexFile)) {
    return ": holds shards, not image files; give it as --data.folder";
  }
  std::string text = ": holds no .jpg, .jpeg or .png files";
  for (const std::string& line : left_out_lines(walk.left_out)) text += "; " + line;
  if (!walk.unreadable.empty()) text += "; cannot be read: " + list_names(walk.unreadable, 4);
  return text;
}

void add_folder(const std::string& folder, ImageWalk* all) {
  ImageWalk walk = walk_images(folder);
  if (walk.files.empty()) throw Error(ExitCode::data, folder + why_none(folder, walk));
  append(std::move(walk), all);
}

}  // namespace

ImageWalk list_images(const std::vector<std::string>& paths) {
  ImageWalk all;
  try {
    for (const std::string& path : paths) {
      if (!fs::exists(path)) throw Error(ExitCode::data, path + ": no such file or folder");
      if (fs::is_directory(path)) {
        add_folder(path, &all);
      } else {
        all.files.push_back(path);
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw_system_error(ExitCode::data, error.path1().string(), "read it", error.code().value());
  }
  return all;
}

std::string read_image_bytes(const std::string& path) {
  return read_file(path, ExitCode::data, kMostImageBytes);
}

Image read_image(const std::string& path, int64_t most_pixels) {
  const std::string bytes = read_image_bytes(path);
  try {
    return decode_image(bytes, most_pixels);
  } catch (const Error& error) {
    throw Error(error.code(), concat(path, ": ", error.what()));
  }
}

}  // namespace bitstill
