#include "bitstill/data/image_walk.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystem = "hidden or of the system";
constexpr const char* kForeign = "no JPEG or PNG by name";
constexpr const char* kSeen = "folders already gone through by another name";

using FolderId = std::pair<dev_t, ino_t>;

/// The folder a path leads to, whatever the path; {0, 0} where it leads nowhere.
FolderId identify(const std::string& folder) {
  struct stat facts {};
  if (::stat(folder.c_str(), &facts) != 0) return {};
  return {facts.st_dev, facts.st_ino};
}

/// Puts one entry of a folder where it belongs. Its type is known from the folder itself, save for
/// links: large sets on network file systems are not asked for each file's facts.
void sort_entry(const fs::directory_entry& entry, FolderContent* content) {
  const std::string path = entry.path().string();
  std::string name = entry.path().filename().string();
  std::error_code failure;
  if (is_system_name(name)) {
    content->left_out[kSystem].push_back(path);
  } else if (entry.is_directory(failure)) {
    content->folders.push_back(std::move(name));
  } else if (failure) {
    const bool dangling = failure == std::errc::no_such_file_or_directory;
    content->unreadable.push_back(
        concat(path, ": ", dangling ? "a link that leads nowhere" : failure.message()));
  } else if (!is_image_name(name)) {
    content->left_out[kForeign].push_back(path);
  } else if (entry.is_regular_file(failure)) {
    content->images.push_back(path);
  } else {
    content->unreadable.push_back(path + ": not a plain file");
  }
}

using Names = std::vector<std::string>;

void append_names(Names&& from, Names* to) {
  to->insert(to->end(), std::move_iterator(from.begin()), std::move_iterator(from.end()));
}

}  // namespace

bool is_image_name(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 5> kEndings = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"};
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

bool is_system_name(const std::string& name) {
  // macOS archives; Synology's and QNAP's thumbnails and bins; Windows; ext4; Python.
  constexpr std::array<std::string_view, 9> kNames = {
      "__MACOSX",     "@eaDir",     "#recycle",  "@Recycle",   "@Recently-Snapshot",
      "$RECYCLE.BIN", "lost+found", "Thumbs.db", "__pycache__"};
  return name.starts_with('.') || name == "System Volume Information" ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void append(LeftOut&& left_out, LeftOut* all) {
  for (auto& [reason, paths] : left_out) append_names(std::move(paths), &(*all)[reason]);
}

void append(ImageWalk&& walk, ImageWalk* all) {
  append_names(std::move(walk.files), &all->files);
  append_names(std::move(walk.unreadable), &all->unreadable);
  append(std::move(walk.left_out), &all->left_out);
}

std::vector<std::string> left_out_lines(const LeftOut& left_out) {
  std::vector<std::string> lines;
  for (const auto& [reason, paths] : left_out) {
    lines.push_back(
        concat("left out, ", reason, ": ", paths.size(), " (", list_names(paths, 3), ")"));
  }
  return lines;
}

FolderContent folder_content(const std::string& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code failure;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end;
       at.increment(failure)) {
    entries.push_back(*at);
  }
  if (failure) throw Error(ExitCode::data, concat(folder, ": ", failure.message()));
  std::sort(entries.begin(), entries.end());
  FolderContent content;
  for (const fs::directory_entry& entry : entries) sort_entry(entry, &content);
  return content;
}

ImageWalk walk_images(const std::string& folder, const std::vector<std::string>& above) {
  ImageWalk walk;
  std::set<FolderId> seen;
  for (const std::string& path : above) seen.insert(identify(path));
  std::vector<std::string> open = {folder};
  while (!open.empty()) {
    const std::string here = open.back();
    open.pop_back();
    if (!seen.insert(identify(here)).second) {
      walk.left_out[kSeen].push_back(here);
      continue;
    }
    try {
      FolderContent content = folder_content(here);
      append_names(std::move(content.images), &walk.files);
      append_names(std::move(content.unreadable), &walk.unreadable);
      append(std::move(content.left_out), &walk.left_out);
      // The last one in is the next one out: reversed, they are gone through by name.
      for (auto name = content.folders.rbegin(); name != content.folders.rend(); ++name) {
        open.push_back((fs::path(here) / *name).string());
      }
    } catch (const Error& error) {
      walk.unreadable.emplace_back(error.what());
    }
  }
  std::sort(walk.files.begin(), walk.files.end());
  return walk;
}

}  // namespace bitstill
