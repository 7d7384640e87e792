#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/sections.hpp"

namespace bitstill {
namespace {

using TextList = std::vector<std::pair<std::string, std::string>> Run::*;

std::string details(const std::string& title, const std::vector<Cells>& rows, bool open) {
  const std::string table = html_table(rows, rows[0].size(), {"settings", {}, {}});
  if (table.empty()) return "";
  return concat("<details class=\"card\"", open ? " open=\"\"" : "", "><summary>", title,
                "</summary>", table, "</details>\n");
}

/// What differs between runs, a column each, and below it what all share.
std::string list_section(const std::string& title, const Runs& runs, const Cells& labels,
                         TextList list) {
  Cells names;
  for (const Run& run : runs) {
    for (const auto& [name, value] : run.*list) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::vector<Cells> differing = {{"Name"}}, shared = {{"Name", "Value"}};
  differing[0].insert(differing[0].end(), labels.begin(), labels.end());
  for (const std::string& name : names) {
    Cells row = {name};
    for (const Run& run : runs) row.push_back(value_named(run.*list, name, "-"));
    const bool same = std::all_of(row.begin() + 1, row.end(),
                                  [&](const std::string& value) { return value == row[1]; });
    if (same) {
      shared.push_back({name, row[1]});
    } else {
      differing.push_back(std::move(row));
    }
  }
  return details(title + " that differ", differing, true) +
         details(runs.size() > 1 ? title + " of all" : title, shared, false);
}

}  // namespace

std::string settings_section(const Runs& runs, const Cells& labels) {
  const std::string html = list_section("Settings", runs, labels, &Run::settings) +
                           list_section("Versions", runs, labels, &Run::versions);
  return html.empty() ? "" : "<h2>Settings and versions</h2>" + html;
}

}  // namespace bitstill
