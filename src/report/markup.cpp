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

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string text_table(std::vector<std::vector<std::string>> rows, std::size_t text_columns) {
  // Columns of a terminal: characters of UTF-8, not bytes.
  const auto columns_of = [](const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
  };
  std::vector<std::size_t> widths;
  for (auto& row : rows) {
    widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], columns_of(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string room(widths[i] - columns_of(row[i]), ' ');
      text += concat(i == 0 ? "" : "  ", i < text_columns ? row[i] + room : room + row[i]);
    }
    text += "\n";
  }
  return text;
}

std::string markdown_table(const std::vector<std::vector<std::string>>& rows,
                           std::size_t text_columns) {
  std::string text;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    text += "|";
    for (const std::string& cell : rows[row]) {
      text += ' ';
      for (const char c : printable(cell))
        text += c == '|' ? std::string("\\|") : std::string(1, c);
      text += " |";
    }
    text += "\n";
    if (row > 0) continue;
    text += "|";
    for (std::size_t i = 0; i < rows[row].size(); ++i) text += i < text_columns ? "---|" : "---:|";
    text += "\n";
  }
  return text;
}

}  // namespace bitstill
