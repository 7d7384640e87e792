#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/frame.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/sections.hpp"
#include "bitstill/report/style.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

/// A name that may break after its punctuation.
std::string breakable(const std::string& name) {
  std::string html;
  for (const char c : name) {
    html += escape_html(std::string(1, c));
    if (c == '_' || c == '-' || c == '/') html += "<wbr/>";
  }
  return html;
}

std::string percent(double value) {
  return fixed(value, 1) + " %";
}

std::string header(const Runs& runs, const Summaries& summaries) {
  std::string title = concat(runs.size(), " runs"), about;
  if (runs.empty()) title = "No runs";
  if (runs.size() == 1) {
    const Run& run = runs.front();
    title = summaries.front().label;
    about = summaries.front().command == "-" ? "run" : summaries.front().command;
    if (std::isfinite(run.world)) {
      about += concat(", ", run.world, run.world == 1 ? " rank" : " ranks");
    }
    if (!run.hosts.empty()) about += " on " + list_names(run.hosts, 4);
    if (!run.started.empty()) about += ", started " + run.started;
  }
  return page_header("report", title, about);
}

std::string notes(const Runs& runs, const Summaries& summaries) {
  std::string items;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& note : runs[i].notes) {
      items += concat("<li class=\"note\"><strong>", escape_html(summaries[i].label),
                      "</strong>: ", escape_html(note), "</li>");
    }
  }
  return items.empty() ? "" : concat("<ul class=\"notes\">", items, "</ul>\n");
}

/// The few numbers that a single run is about.
std::string tiles(const Run& run, const Summary& summary) {
  std::string html;
  if (std::isfinite(summary.test.accuracy)) {
    const bool interval = std::isfinite(summary.test.low) && std::isfinite(summary.test.high);
    html += tile("Test accuracy", percent(summary.test.accuracy),
                 interval ? concat("95 % interval ", fixed(summary.test.low, 1), " to ",
                                   percent(summary.test.high))
                          : "");
  }
  std::string size_note;
  if (std::isfinite(summary.ratio)) {
    size_note = concat(fixed(summary.ratio, 1), " times smaller than fp32");
  }
  if (std::isfinite(run.formula_bits)) {
    size_note +=
        concat(size_note.empty() ? "" : "; ", "formula ", bytes_text(run.formula_bits / 8));
  }
  html += tile("File that ships", bytes_text(summary.bytes), size_note);
  html += tile("Parameters", grouped(summary.parameters),
               concat(summary.network, ", ", summary.method));
  html += tile("Training time",
               std::isfinite(summary.minutes) ? summary_cells(summary).back() + " min" : "-",
               concat(summary_cells(summary)[6], " epochs"));
  const auto speed = [](const StepRecord& step) { return step.images_per_s; };
  double sum = 0, count = 0;
  for (const StepRecord& step : run.steps) {
    if (!std::isfinite(speed(step))) continue;
    sum += speed(step);
    ++count;
  }
  html += tile("Throughput", count > 0 ? compact(sum / count) + "/s" : "-",
               "images, mean of all ranks");
  return html.empty() ? "" : concat("<dl class=\"tiles\">", html, "</dl>\n");
}

std::string summary_table(const Summaries& summaries) {
  std::string html =
      "<h2>Summary</h2><div class=\"card scroll summary\" style=\"margin-top:14px\">"
      "<table><thead><tr>";
  const auto& columns = summary_columns();
  const auto css = [](std::size_t column) { return column >= 1 && column <= 3 ? "left" : ""; };
  for (std::size_t i = 0; i < columns.size(); ++i) {
    html += concat("<th scope=\"col\" class=\"", css(i), "\">", columns[i], "</th>");
  }
  html += "</tr></thead><tbody>\n";
  for (std::size_t row = 0; row < summaries.size(); ++row) {
    const auto cells = summary_cells(summaries[row]);
    html += concat("<tr><th scope=\"row\"><span class=\"swatch\" style=\"color:", run_color(row),
                   "\"></span>", breakable(cells[0]), "</th>");
    for (std::size_t i = 1; i < cells.size(); ++i) {
      html += concat("<td class=\"", css(i), "\" data-label=\"", columns[i], "\">",
                     cells[i] == "-" ? "–" : escape_html(cells[i]), "</td>");
    }
    html += "</tr>\n";
  }
  return html +
         "</tbody></table></div><p class=\"lead\"><small>Test accuracy with its 95 % "
         "interval, measured on the file that ships. Ratio: size of the same network in "
         "fp32 over that file.</small></p>\n";
}

std::string size_figure(const Runs& runs, const Summaries& summaries) {
  if (runs.size() < 2) return "";
  std::vector<SizePoint> points;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Evaluation& test = summaries[i].test;
    points.push_back(
        {summaries[i].label, run_color(i), summaries[i].bytes, test.accuracy, test.low, test.high});
  }
  const std::string figure = scatter_figure(points);
  return figure.empty() ? "" : concat("<div class=\"stack\">", figure, "</div>");
}

std::string costs(const Runs& runs, const Summaries& summaries) {
  BarFigure time{"Where the time goes",
                 "milliseconds a step, mean",
                 [](double ms) { return fixed(ms, ms < 10 ? 2 : 1) + " ms"; },
                 phase_color,
                 {}};
  BarFigure traffic{
      "What travels", "bytes a step by kind of traffic, mean", bytes_text, traffic_color, {}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].steps.empty()) continue;
    time.bars.push_back({summaries[i].label, mean_values(runs[i].steps, &StepRecord::ms)});
    traffic.bars.push_back({summaries[i].label, mean_values(runs[i].steps, &StepRecord::bytes)});
  }
  const std::string html = bar_figure(time) + bar_figure(traffic);
  if (html.empty()) return "";
  return concat("<h2>Costs</h2><div class=\"grid costs\">", html, "</div>\n");
}

}  // namespace

std::string report_page(const std::vector<Run>& runs) {
  const Summaries summaries = summarize(runs);
  const std::string title = runs.size() == 1 ? summaries.front().label : "report";
  std::string html = header(runs, summaries) + notes(runs, summaries);
  if (runs.size() == 1) html += tiles(runs.front(), summaries.front());
  if (!runs.empty()) {
    html += summary_table(summaries) + size_figure(runs, summaries) +
            curves_section(runs, summaries) + costs(runs, summaries) +
            settings_section(runs, summaries);
  }
  return page_frame(title, html);
}

}  // namespace bitstill
