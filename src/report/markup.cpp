#include "bitstill/report/markup.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bitstill/base/text.hpp"

namespace bitstill {

std::string escape_html(const std::string& text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return safe;
}

std::string shorten(const std::string& text, std::size_t most) {
  const auto begins_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  };
  std::size_t characters = 0, cut = text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!begins_character(text[i])) continue;
    if (++characters == most) cut = i;
  }
  return characters <= most ? text : text.substr(0, cut) + "…";
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  char text[400];  // the largest double has 309 digits
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string compact(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  static const struct {
    double size;
    const char* letter;
  } kUnits[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  const double size = std::abs(value);
  char text[64];
  for (const auto& unit : kUnits) {
    if (size < unit.size * 0.9995 || size >= 1e12) continue;
    std::snprintf(text, sizeof text, "%.*g%s", digits, value / unit.size, unit.letter);
    return text;
  }
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  for (int digits = 3; digits <= 16; ++digits) {
    labels.clear();
    for (const double tick : ticks) labels.push_back(compact(tick, digits));
    if (std::adjacent_find(labels.begin(), labels.end()) == labels.end()) break;
  }
  return labels;
}

std::string grouped(double value) {
  std::string digits = fixed(value, 0);
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3) {
    if (digits[i - 1] != '-') digits.insert(i, ",");
  }
  return digits;
}

std::string bytes_text(double bytes) {
  return std::isfinite(bytes) ? human_bytes(bytes) : "-";
}

}  // namespace bitstill
