// What every page must be: well formed, and whole by itself.
#pragma once

#include <cctype>
#include <set>
#include <string>

namespace bitstill {

/// Empty when every tag is closed in order, every attribute quoted and every & an entity; else what
/// is wrong. The style element's text is skipped.
inline std::string malformed(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t i = html.find('>') + 1; i < html.size(); ++i) {  // after the doctype
    if (html[i] == '&' && html.find(';', i) > i + 6) return "a bare & at " + html.substr(i, 30);
    if (html[i] == '>') return "a bare > before " + html.substr(i, 30);
    if (html[i] != '<') continue;
    const bool closing = html[i + 1] == '/';
    std::size_t j = i + 1 + closing;
    std::string name;
    while (std::isalnum(static_cast<unsigned char>(html[j]))) name += html[j++];
    if (name.empty()) return "a bare < at " + html.substr(i, 30);
    std::set<std::string> attributes;
    while (html[j] != '>' && html[j] != '/') {
      const std::size_t equals = html.find("=\"", j);
      const std::size_t end = html.find('"', equals + 2);
      if (html[j] != ' ' || equals == std::string::npos || end == std::string::npos) {
        return "a bad attribute at " + html.substr(i, 60);
      }
      const std::string attribute = html.substr(j + 1, equals - j - 1);
      if (attribute.find_first_of(" <>/'\"") != std::string::npos ||
          !attributes.insert(attribute).second ||
          html.substr(equals, end - equals).find('<') != std::string::npos) {
        return "a bad attribute at " + html.substr(i, 60);
      }
      j = end + 1;
    }
    if (closing && (open.empty() || open.back() != name)) return "</" + name + "> out of order";
    if (closing) open.pop_back();
    if (!closing && html[j] != '/') open.push_back(name);
    i = html[j] == '/' ? j + 1 : j;
    if (name == "style" && !closing) i = html.find("</style", i) - 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// Empty for a page that asks nothing of the network and shows no number that is none; else what
/// it holds.
inline std::string foreign_part(const std::string& page) {
  for (const char* part :
       {"<script", "http:", "https:", "<link", "@import", "url(", "<img", "nan", "inf\""}) {
    if (contains(page, part)) return part;
  }
  return "";
}

}  // namespace bitstill
