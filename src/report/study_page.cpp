#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/frame.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/study.hpp"
#include "bitstill/report/style.hpp"

namespace bitstill {
namespace {

using Cells = std::vector<std::string>;

/// The colour of an arm, alike for all its bits; the teacher comes before the arms.
std::string arm_color(const StudyRow& row) {
  return run_color(static_cast<std::size_t>(row.order + 1));
}

/// `colors` has one for each row below the head, or is empty.
std::string html_table(const std::vector<Cells>& rows, std::size_t text_columns,
                       const std::vector<std::string>& colors) {
  if (rows.size() < 2) return "";
  const auto css = [&](std::size_t column) { return column < text_columns ? "left" : ""; };
  std::string html =
      "<div class=\"card scroll summary study\" style=\"margin-top:14px\"><table><thead><tr>";
  for (std::size_t i = 0; i < rows[0].size(); ++i) {
    html += concat("<th scope=\"col\" class=\"", css(i), "\">", escape_html(rows[0][i]), "</th>");
  }
  html += "</tr></thead><tbody>\n";
  for (std::size_t row = 1; row < rows.size(); ++row) {
    html += "<tr><th scope=\"row\">";
    if (!colors.empty()) {
      html += concat("<span class=\"swatch\" style=\"color:", colors[row - 1], "\"></span>");
    }
    html += escape_html(rows[row][0]) + "</th>";
    for (std::size_t i = 1; i < rows[row].size(); ++i) {
      html += concat("<td class=\"", css(i), "\" data-label=\"", escape_html(rows[0][i]), "\">",
                     rows[row][i] == "-" ? "–" : escape_html(rows[row][i]), "</td>");
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>";
}

std::string header(const Study& study) {
  std::size_t runs = 0;
  for (const auto* rows : {&study.rows, &study.sweep}) {
    for (const StudyRow& row : *rows) runs += row.members.size();
  }
  std::string html = concat("<header><div class=\"kicker\">bitstill study</div><h1>",
                            escape_html(study.name), "</h1><p>", runs, " runs</p></header>\n");
  if (study.notes.empty()) return html;
  html += "<ul class=\"notes\">";
  for (const std::string& note : study.notes) {
    html += concat("<li class=\"note\">", escape_html(note), "</li>");
  }
  return html + "</ul>\n";
}

std::string targets_section(const Study& study) {
  std::vector<Cells> rows = {{"Target", "Figure", "Verdict"}};
  std::vector<std::string> colors;
  for (const Target& target : study_targets(study)) {
    rows.push_back({target.name, target.figure, target.pass ? "PASS" : "FAIL"});
    colors.emplace_back(target.pass ? "var(--c2)" : "var(--c6)");
  }
  const std::string table = html_table(rows, 2, colors);
  return table.empty() ? "" : concat("<h2>Targets</h2>", table, "\n");
}

std::string size_figure(const Study& study) {
  std::vector<SizePoint> points;
  for (const StudyRow& row : study.rows) {
    // Hundreds of times larger: it would squeeze the arms into a corner. The table has it.
    if (row.arm == "teacher" && study.rows.size() > 1) continue;
    const Interval test = accuracy(row);
    double bytes = 0;
    for (const StudyMember& member : row.members) bytes += member.bytes;
    points.push_back({row.bits == 0 ? row.title : concat(row.title, " ", row.bits), arm_color(row),
                      bytes / static_cast<double>(row.members.size()), test.mean, test.low,
                      std::isnan(test.high) ? test.high : std::min(test.high, 100.0)});
  }
  const std::string figure = scatter_figure(points);
  return figure.empty() ? "" : concat("<div class=\"stack\">", figure, "</div>\n");
}

std::string grid_section(const Study& study) {
  std::vector<std::string> colors;
  for (const StudyRow& row : study.rows) colors.push_back(arm_color(row));
  const std::string table = html_table(grid_cells(study), kGridTextColumns, colors);
  if (table.empty()) return "";
  return concat("<h2>Arms</h2>", size_figure(study), table, "<p class=\"lead\"><small>",
                escape_html(study_legend(study)), "</small></p>\n");
}

std::string sweep_section(const Study& study) {
  const std::string table = html_table(sweep_cells(study), kSweepTextColumns, {});
  if (table.empty()) return "";
  std::string html = concat("<h2>Sweep</h2>", table);
  for (const std::string& line : sweep_winners(study)) {
    html += concat("<p class=\"lead\">", escape_html(line), "</p>");
  }
  return html + "\n";
}

}  // namespace

std::string study_page(const Study& study) {
  return page_frame(study.name, header(study) + targets_section(study) + grid_section(study) +
                                    sweep_section(study));
}

}  // namespace bitstill
