#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/sections.hpp"

namespace bitstill {
namespace {

std::string value_of(const std::vector<std::pair<std::string, std::string>>& list,
                     const std::string& name) {
  for (const auto& [key, value] : list) {
    if (key == name) return value;
  }
  return "–";
}

using TextList = std::vector<std::pair<std::string, std::string>> Run::*;

/// Rows of one list, a column a run; where runs differ the row is marked, and `only_differing`
/// leaves out the others.
std::string list_rows(const Runs& runs, TextList list, bool only_differing) {
  std::vector<std::string> names;
  for (const Run& run : runs) {
    for (const auto& [name, value] : run.*list) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::string html;
  for (const std::string& name : names) {
    const std::string first = value_of(runs.front().*list, name);
    const bool differs = std::any_of(runs.begin(), runs.end(), [&](const Run& run) {
      return value_of(run.*list, name) != first;
    });
    if (only_differing && !differs) continue;
    html += concat(differs && !only_differing ? "<tr class=\"differs\">" : "<tr>",
                   "<th scope=\"row\">", escape_html(name), "</th>");
    for (const Run& run : runs) {
      html += concat("<td>", escape_html(value_of(run.*list, name)), "</td>");
    }
    html += "</tr>\n";
  }
  return html;
}

std::string details(const char* title, const Summaries& summaries, const std::string& rows,
                    bool open) {
  if (rows.empty()) return "";
  std::string html =
      concat("<details class=\"card\"", open ? " open=\"\"" : "", "><summary>", title,
             "</summary><div class=\"scroll settings\"><table><thead><tr>"
             "<th scope=\"col\">Name</th>");
  for (const Summary& summary : summaries) {
    html += concat("<th scope=\"col\">", escape_html(summary.label), "</th>");
  }
  return concat(html, "</tr></thead><tbody>", rows, "</tbody></table></div></details>\n");
}

}  // namespace

std::string settings_section(const Runs& runs, const Summaries& summaries) {
  std::string html;
  if (runs.size() > 1) {
    html += details("Settings that differ", summaries, list_rows(runs, &Run::settings, true), true);
  }
  html += details("All settings", summaries, list_rows(runs, &Run::settings, false), false);
  html += details("Versions", summaries, list_rows(runs, &Run::versions, false), false);
  return html.empty() ? "" : "<h2>Settings and versions</h2>" + html;
}

}  // namespace bitstill
