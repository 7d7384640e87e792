#include "label_files.hpp"

#include <charconv>
#include <filesystem>
#include <sstream>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;

[[noreturn]] void refuse(const std::string& file, std::size_t line, const std::string& what) {
  throw Error(ExitCode::data, concat(file, ", line ", line + 1, ": ", what));
}

/// Lines without those that are empty at the end; \r\n ends one, too.
std::vector<std::string> lines_of(const std::string& file) {
  std::istringstream text(read_file(file, ExitCode::data, kMostBytes));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    lines.push_back(line);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

/// The part before the last blank or comma, and that after it; a line of one word has the second.
std::pair<std::string, std::string> last_word(const std::string& line) {
  const std::size_t gap = line.find_last_of(" \t,");
  if (gap == std::string::npos) return {"", line};
  return {line.substr(0, line.find_last_not_of(" \t,", gap) + 1), line.substr(gap + 1)};
}

int64_t label_of(const std::string& word, const std::map<std::string, int64_t>& classes,
                 const std::string& file, std::size_t line) {
  const auto named = classes.find(word);
  if (named != classes.end()) return named->second;
  int64_t number = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  const auto count = static_cast<int64_t>(classes.size());
  if (error == std::errc() && end == word.data() + word.size() && number >= 0 && number < count) {
    return number;
  }
  refuse(file, line,
         concat("\"", word, "\" is neither a class folder nor a number from 0 to ", count - 1));
}

}  // namespace

std::vector<int64_t> read_labels(const std::string& file, const std::vector<std::string>& images,
                                 const std::map<std::string, int64_t>& classes) {
  const std::vector<std::string> lines = lines_of(file);
  if (lines.size() != images.size()) {
    throw Error(ExitCode::data, concat(file, ": ", lines.size(), " lines for ", images.size(),
                                       " images; give one a line"));
  }
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < images.size(); ++i) {
    places.emplace(std::filesystem::path(images[i]).filename().string(), i);
  }
  std::vector<int64_t> labels(images.size(), -1);
  for (std::size_t line = 0; line < lines.size(); ++line) {
    const auto [name, word] = last_word(lines[line]);
    std::size_t at = line;
    if (!name.empty()) {
      const auto place = places.find(std::filesystem::path(name).filename().string());
      if (place == places.end()) refuse(file, line, concat("there is no image ", name));
      at = place->second;
    }
    if (labels[at] >= 0) refuse(file, line, concat(images[at], " has a label already"));
    labels[at] = label_of(word, classes, file, line);
  }
  return labels;
}

std::vector<std::string> synset_names(const std::string& file,
                                      const std::vector<std::string>& classes) {
  std::map<std::string, std::string> listed;
  for (const std::string& line : lines_of(file)) {
    const std::size_t gap = line.find_first_of(" \t");
    if (gap == std::string::npos) continue;
    listed[line.substr(0, gap)] = line.substr(line.find_first_not_of(" \t", gap));
  }
  std::map<std::string, int> shared;
  for (const std::string& folder : classes) {
    const auto name = listed.find(folder);
    if (name == listed.end()) {
      throw Error(ExitCode::data,
                  concat(file, ": has no line \"", folder, " NAME\" for this class folder"));
    }
    ++shared[name->second];
  }
  std::vector<std::string> names;
  for (const std::string& folder : classes) {
    const std::string& name = listed[folder];
    names.push_back(shared[name] == 1 ? name : concat(name, " (", folder, ")"));
  }
  return names;
}

}  // namespace bitstill
