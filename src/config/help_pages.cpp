#include "bitstill/config/help_pages.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

namespace bitstill {
namespace {

struct Line {
  std::string name;  // "--train.rate", or the words of "RUN...  run folders"
  std::string text;
  bool has_name = false;
  bool is_switch = false;  // the bare name is enough
};

std::vector<Line> lines_of(const std::string& help) {
  std::vector<Line> lines;
  std::istringstream stream(help);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t start = std::min(line.find_first_not_of(' '), line.size());
    const std::size_t end = std::min(line.find(' ', start), line.size());
    const std::size_t text = std::min(line.find_first_not_of(' ', end), line.size());
    Line parts{line.substr(start, end - start), line.substr(text)};
    parts.has_name = parts.name.rfind("--", 0) == 0;
    parts.is_switch = parts.text.ends_with("[true]") || parts.text.ends_with("[false]");
    if (!parts.name.empty()) lines.push_back(parts);
  }
  return lines;
}

std::string without_brackets(const std::string& text) {
  std::string kept;
  int depth = 0;
  for (const char c : text) {
    if (c == '(' || c == '[') ++depth;
    if (depth == 0) kept += c;
    if (c == ')' || c == ']') --depth;
  }
  return kept;
}

/// "of what is learned: auto | adam | sgd" -> "auto adam sgd"
std::string values_of(const std::string& explained) {
  const std::string text = without_brackets(explained);
  std::string values;
  for (std::size_t bar = text.find('|'); bar != std::string::npos; bar = text.find('|', bar + 1)) {
    std::istringstream left(text.substr(0, bar)), right(text.substr(bar + 1));
    std::string value;
    if (values.empty()) {
      while (left >> value) continue;
      values = value;
    }
    right >> value;
    while (!value.empty() && std::ispunct(static_cast<unsigned char>(value.back()))) {
      value.pop_back();
    }
    // A word in capitals stands for any of its kind.
    if (!value.empty() && !std::isupper(static_cast<unsigned char>(value[0]))) {
      values += ' ' + value;
    }
  }
  return values;
}

}  // namespace

std::string roff(const std::string& text) {
  std::string escaped;
  bool line_starts = true;
  for (const char c : text) {
    if (line_starts && (c == '.' || c == '\'')) escaped += "\\&";
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
    line_starts = c == '\n';
  }
  return escaped;
}

std::string manual_part(const std::string& summary, const std::string& help) {
  std::string page = ".nf\n" + roff(summary) + "\n.fi\n";
  for (const Line& line : lines_of(help)) {
    page += ".TP\n\\fB" + roff(line.name) + "\\fR\n" + roff(line.text) + "\n";
  }
  return page;
}

std::string completion_part(const std::string& help) {
  std::string branches, names, open;
  for (const Line& line : lines_of(help)) {
    if (!line.has_name) continue;
    names += (names.empty() ? "" : " ") + line.name;
    if (line.is_switch) continue;
    const std::string values = values_of(line.text);
    if (values.empty()) {
      open += (open.empty() ? "" : " | ") + line.name;
    } else {
      branches.append("    ").append(line.name).append(") echo '").append(values).append("' ;;\n");
    }
  }
  if (!open.empty()) branches += "    " + open + ") ;;\n";
  return branches + "    *) echo '" + names + "' ;;\n";
}

}  // namespace bitstill
