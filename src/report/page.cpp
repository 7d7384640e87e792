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
    if (!run.host.empty()) about += " on " + run.host;
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

/// Over all the logged steps' time: steps count alike, not seconds.
double images_per_s(const Run& run) {
  double steps = 0, seconds = 0;  // a step's images are the unit
  for (const StepRecord& step : run.steps) {
    if (!(step.images_per_s > 0)) continue;
    steps += step.steps;
    seconds += step.steps / step.images_per_s;
  }
  return steps / seconds;
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
  html +=
      tile("Points to the teacher", signed_points({summary.to_teacher.mean, kMissing, kMissing}),
           concat("95 % interval ", fixed(summary.to_teacher.low, 1), " to ",
                  fixed(summary.to_teacher.high, 1)));
  html += tile("Smaller than the teacher", times_text(summary.under_teacher),
               concat("its file has ", bytes_text(run.teacher.bytes)));
  html += tile("Smaller than fp32", times_text(summary.under_fp32),
               concat("the same network has ", bytes_text(run.fp32_bytes)));
  html +=
      tile("File that ships", bytes_text(summary.bytes),
           std::isfinite(run.formula_bits) ? concat("by formula ", bytes_text(run.formula_bits / 8))
                                           : "");
  html += tile("Parameters", grouped(summary.parameters),
               concat(summary.network, ", ", summary.method));
  html += tile("Training time", with_unit(minutes_text(summary), " min"),
               concat(epochs_text(summary), " epochs"));
  html += tile("Throughput", with_unit(compact(images_per_s(run)), "/s"), "images, all ranks");
  return html.empty() ? "" : concat("<dl class=\"tiles\">", html, "</dl>\n");
}

std::string summary_table(const Summaries& summaries) {
  TableLook look{"card summary", {}, {}};
  for (std::size_t i = 0; i < summaries.size(); ++i) look.colors.push_back(run_color(i));
  return concat("<h2>Summary</h2>", html_table(summary_rows(summaries), kSummaryTextColumns, look),
                "<p class=\"lead\"><small>Test accuracy with its 95 % interval, measured on the "
                "file that ships. Points to teacher: as if over different images, so too wide. "
                "Smaller than fp32: the file of the same network in fp32 over this one; than "
                "teacher: the teacher's file over it.</small></p>\n");
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

/// The phases of a step follow one another. Gathers and the exchange run beside them: what of these
/// is longer than the wait for them is hidden behind the phases before.
Bar phases_of(const Run& run, const std::string& name) {
  Bar bar{name, mean_values(run.steps, &StepRecord::ms), {}};
  for (const char* const kind : {"gather", "exchange"}) {
    double busy = 0, wait = 0;
    std::erase_if(bar.parts, [&](const auto& part) {
      if (part.first == kind) wait = part.second;
      if (part.first != concat(kind, "_busy")) return false;
      busy = part.second;
      return true;
    });
    if (busy > wait) bar.hidden.emplace_back(kind, busy - wait);
  }
  return bar;
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
    time.bars.push_back(phases_of(runs[i], summaries[i].label));
    traffic.bars.push_back(
        {summaries[i].label, mean_values(runs[i].steps, &StepRecord::bytes), {}});
  }
  const std::string html = bar_figure(time) + bar_figure(traffic);
  if (html.empty()) return "";
  return concat("<h2>Costs</h2><div class=\"grid costs\">", html, "</div>\n");
}

}  // namespace

std::string report_page(const std::vector<Run>& runs) {
  const Summaries summaries = summarize(runs);
  const std::string title = runs.size() == 1 ? summaries.front().label : "report";
  Cells labels;
  for (const Summary& summary : summaries) labels.push_back(summary.label);
  std::string html = header(runs, summaries) + notes(runs, summaries);
  if (runs.size() == 1) html += tiles(runs.front(), summaries.front());
  if (!runs.empty()) {
    html += summary_table(summaries) + size_figure(runs, summaries) +
            curves_section(runs, summaries) + costs(runs, summaries) +
            settings_section(runs, labels);
  }
  return page_frame(title, html);
}

}  // namespace bitstill
