#include "bitstill/report/columns.hpp"

#include <algorithm>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// Columns of a terminal: characters of UTF-8, not bytes.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string aligned(std::vector<std::vector<std::string>> rows, std::size_t left) {
  std::vector<std::size_t> widths(rows.empty() ? 0 : rows.front().size());
  for (auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], columns_of(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string room(widths[i] - columns_of(row[i]), ' ');
      text += concat(i == 0 ? "" : "  ", i < left ? row[i] + room : room + row[i]);
    }
    text += "\n";
  }
  return text;
}

}  // namespace bitstill
