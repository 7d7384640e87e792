// For tests on real sentences: Multi30k as a tar archive, which is no part of the project.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bitstill/base/file.hpp"

namespace bitstill {

/// The lines of a file of the archive ("train.en", "train.de") in the folder BITSTILL_DATA,
/// unpacked into `scratch`; none where it is not there.
inline std::vector<std::string> multi30k_lines(const std::string& scratch,
                                               const std::string& name) {
  const char* const data = std::getenv("BITSTILL_DATA");
  if (data == nullptr) return {};
  const std::string command = "tar -xJf '" + std::string(data) + "/multi30k_en-de.tar.xz' -C '" +
                              scratch + "' 2> /dev/null";
  if (std::system(command.c_str()) != 0) return {};
  std::vector<std::string> lines;
  for (const auto& file : std::filesystem::recursive_directory_iterator(scratch)) {
    if (file.path().filename() != name) continue;
    const std::string text = read_file(file.path().string(), ExitCode::data);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  return lines;
}

}  // namespace bitstill
