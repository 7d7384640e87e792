#include "bitstill/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bitstill/base/utf8.hpp"

namespace bitstill {
namespace {

/// Controls, separators of lines, marks of direction, the byte-order mark.
bool shows(uint32_t code) {
  const auto within = [code](uint32_t low, uint32_t high) { return code >= low && code <= high; };
  return !(code < 0x20 || within(0x7F, 0x9F) || within(0x200E, 0x200F) || within(0x2028, 0x202E) ||
           within(0x2066, 0x2069) || code == 0xFEFF);
}

std::string escaped(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  char text[16];
  std::snprintf(text, sizeof text, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
  return text;
}

/// Where character number `count` of a text in UTF-8 begins.
std::size_t place_of_character(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80;
    if (begins && count-- == 0) break;
  }
  return at;
}

/// Levenshtein's distance, one row of the table at a time.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string visible(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.bytes == 0) {
      line += escaped(static_cast<unsigned char>(text[0]));
    } else if (shows(c.code)) {
      line += text.substr(0, c.bytes);
    } else {
      line += escaped(c.code);
    }
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return line;
}

std::string message_line(std::string_view text) {
  constexpr std::string_view kGap = " ... ";
  constexpr std::size_t kEnd = kMostLineCharacters * 2 / 5;
  std::string line = visible(text);
  const std::size_t characters =
      line.size() - static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) == 0x80;
      }));
  if (characters <= kMostLineCharacters) return line;
  const std::size_t begin = place_of_character(line, kMostLineCharacters - kGap.size() - kEnd);
  const std::size_t end = place_of_character(line, characters - kEnd);
  return line.replace(begin, end - begin, kGap);
}

std::string list_names(const std::vector<std::string>& names, std::size_t most) {
  const std::size_t shown = std::min(names.size(), most);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  if (names.size() > shown) {
    text += concat(shown > 0 ? " and " : "", names.size() - shown, shown > 0 ? " more" : "");
  }
  return text;
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& known) {
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string nearest;
  for (const auto& name : known) {
    // At least as far away as their lengths differ: files may hold words of any length.
    const std::size_t longer = std::max(word.size(), name.size());
    if (longer - std::min(word.size(), name.size()) >= best) continue;
    const std::size_t distance = edit_distance(word, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest;
}

std::string human_bytes(double bytes) {
  static const char* const kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= (unit == 0 ? 999.5 : 999.95) && unit < 5) {
    bytes /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

std::string human_time(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const long whole = std::lround(seconds);
  char text[48];
  if (whole < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

}  // namespace bitstill
