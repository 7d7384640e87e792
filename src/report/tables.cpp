// Rows of cells as a table: for a terminal, Markdown, a spreadsheet, a page.
#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

/// Columns of a terminal: characters of UTF-8, not bytes.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

/// A name that may break after its punctuation.
std::string breakable(const std::string& name) {
  std::string html;
  for (const char c : escape_html(name)) {
    html += c;
    if (c == '_' || c == '-' || c == '/') html += "<wbr/>";
  }
  return html;
}

std::string first_cell(const Cells& row, std::size_t number, const TableLook& look) {
  std::string html = "<tr><th scope=\"row\">";
  if (!look.colors.empty()) {
    html += concat("<span class=\"swatch\" style=\"color:", look.colors[number], "\"></span>");
  }
  if (look.links.empty()) return concat(html, breakable(row[0]), "</th>");
  return concat(html, "<a href=\"", escape_html(look.links[number]), "\">", breakable(row[0]),
                "</a></th>");
}

std::string csv_cell(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (!value.is_string() && text == "null") return "";  // also a number that is none
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (std::size_t i = 0; (i = text.find('"', i)) != std::string::npos; i += 2)
    text.insert(i, 1, '"');
  return concat('"', text, '"');
}

}  // namespace

void drop_empty_columns(std::vector<Cells>& rows, std::size_t first) {
  if (rows.size() < 2) return;
  for (std::size_t column = rows[0].size(); column-- > first;) {
    const auto empty = [&](const Cells& row) { return row[column] == "-"; };
    if (!std::all_of(rows.begin() + 1, rows.end(), empty)) continue;
    for (Cells& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

std::string text_table(std::vector<Cells> rows, std::size_t text_columns) {
  std::vector<std::size_t> widths;
  for (auto& row : rows) {
    widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = visible(row[i]);
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

std::string markdown_table(const std::vector<Cells>& rows, std::size_t text_columns) {
  std::string text;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    text += "|";
    for (const std::string& cell : rows[row]) {
      text += ' ';
      for (const char c : visible(cell)) text += c == '|' ? std::string("\\|") : std::string(1, c);
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

std::string csv_table(const Json& objects) {
  std::string text;
  const auto add_line = [&](const Json& object, bool names) {
    const char* separator = "";
    for (const auto& [name, value] : object.items()) {
      text += separator + csv_cell(names ? Json(name) : value);
      separator = ",";
    }
    text += "\r\n";
  };
  if (!objects.empty()) add_line(objects.front(), true);
  for (const Json& object : objects) add_line(object, false);
  return text;
}

std::string html_table(const std::vector<Cells>& rows, std::size_t text_columns,
                       const TableLook& look) {
  if (rows.size() < 2) return "";
  const auto css = [&](std::size_t column) { return column < text_columns ? "left" : ""; };
  std::string html = concat("<div class=\"scroll ", look.css, "\"><table><thead><tr>");
  for (std::size_t i = 0; i < rows[0].size(); ++i) {
    html += concat("<th scope=\"col\" class=\"", css(i), "\">", escape_html(rows[0][i]), "</th>");
  }
  html += "</tr></thead><tbody>\n";
  for (std::size_t number = 1; number < rows.size(); ++number) {
    const Cells& row = rows[number];
    html += first_cell(row, number - 1, look);
    for (std::size_t i = 1; i < row.size(); ++i) {
      html += concat("<td class=\"", css(i), "\" data-label=\"", escape_html(rows[0][i]), "\">",
                     row[i] == "-" ? "–" : escape_html(row[i]), "</td>");
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>";
}

}  // namespace bitstill
