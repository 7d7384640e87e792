#include "bitstill/data/image_files.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image.hpp"
#include "bitstill/data/shard_index.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

bool is_image_name(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

void add_folder(const std::string& folder, std::vector<std::string>* files) {
  int64_t ignored = 0;
  const std::vector<std::string> found = image_files_in(folder, &ignored);
  if (found.empty()) {
    const bool shards = fs::exists(fs::path(folder) / kIndexFile);
    throw Error(ExitCode::data,
                concat(folder, shards ? ": holds shards, not image files; give it as --data.folder"
                                      : ": holds no .jpg, .jpeg or .png files"));
  }
  files->insert(files->end(), found.begin(), found.end());
}

}  // namespace

std::vector<std::string> image_files_in(const std::string& folder, int64_t* ignored) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with('.')) continue;
    if (is_image_name(entry.path())) {
      files.push_back(entry.path().string());
    } else {
      *ignored += 1;
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> list_images(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  try {
    for (const std::string& path : paths) {
      if (!fs::exists(path)) throw Error(ExitCode::data, path + ": no such file or folder");
      if (fs::is_directory(path)) {
        add_folder(path, &files);
      } else {
        files.push_back(path);
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ExitCode::data, concat(error.path1().string(), ": ", error.code().message()));
  }
  return files;
}

void load_image(const std::string& path, const ImageShape& shape, uint8_t* pixels) {
  const std::string bytes = read_file(path, ExitCode::data);
  try {
    fit_image(decode_image(bytes), shape, pixels);
  } catch (const Error& error) {
    throw Error(error.code(), concat(path, ": ", error.what()));
  }
}

}  // namespace bitstill
