#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kTextColumns = 4;  // the first ones stand left, numbers right

/// Columns of a terminal: characters of UTF-8, not bytes.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

/// A folder's name may hold anything; a terminal must not act on it.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

std::string report_table(const std::vector<Run>& runs) {
  if (runs.empty()) return "no runs\n";
  std::vector<std::vector<std::string>> rows = {summary_columns()};
  const std::vector<Summary> summaries = summarize(runs);
  for (const Summary& summary : summaries) rows.push_back(summary_cells(summary));
  std::vector<std::size_t> widths(rows.front().size());
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
      text += concat(i == 0 ? "" : "  ", i < kTextColumns ? row[i] + room : room + row[i]);
    }
    text += "\n";
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& note : runs[i].notes) {
      text += printable(concat("note: ", summaries[i].label, ": ", note)) + "\n";
    }
  }
  return text;
}

}  // namespace bitstill
