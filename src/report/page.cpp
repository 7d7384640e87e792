#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/style.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostPoints = 100;  // of one curve: what a figure of this width can show

using Runs = std::vector<Run>;
using Summaries = std::vector<Summary>;

std::string two_decimals(double value) {
  return std::abs(value) < 100 ? fixed(value, 2) : compact(value);
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
  return concat("<header><div class=\"kicker\">bitstill report</div><h1>", escape_html(title),
                "</h1><p>", escape_html(about), "</p></header>\n");
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

std::string tile(const std::string& name, const std::string& value, const std::string& below) {
  if (value == "-") return "";
  return concat("<div class=\"card\"><dt>", name, "</dt><dd>", escape_html(value), "<small>",
                escape_html(below), "</small></dd></div>");
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
               std::isfinite(summary.minutes) ? fixed(summary.minutes, 1) + " min" : "-",
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
                   "\"></span>", escape_html(cells[0]), "</th>");
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

std::vector<Point> over_steps(const Run& run, double StepRecord::*value) {
  std::vector<Point> points;
  for (const StepRecord& step : run.steps) points.push_back({step.epoch, step.*value});
  return thin(points, kMostPoints);
}

std::vector<Point> over_epochs(const Run& run, Evaluation EpochRecord::*set,
                               double Evaluation::*value) {
  std::vector<Point> points;
  for (const EpochRecord& record : run.epochs) points.push_back({record.epoch, record.*set.*value});
  return points;
}

/// Interval means where the log has them, else the epochs' means.
std::vector<Point> training(const Run& run, double StepRecord::*step, double Evaluation::*epoch) {
  if (!run.steps.empty()) return over_steps(run, step);
  return over_epochs(run, &EpochRecord::train, epoch);
}

/// One curve a run; single runs keep the figure's own colour.
using Curve = std::function<std::vector<Point>(const Run&)>;
std::string figure_of(LineFigure figure, const Runs& runs, const Summaries& summaries,
                      const Curve& curve) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<Point> points = curve(runs[i]);
    const bool few = points.size() <= 30;
    figure.lines.push_back({summaries[i].label, run_color(i), false, few, std::move(points)});
  }
  return line_figure(figure);
}

/// A single run: its losses in one figure, its accuracies in another.
std::string own_curves(const Run& run) {
  const auto line = [](const char* name, std::size_t color, bool dashed,
                       std::vector<Point> points) {
    return Line{name, run_color(color), dashed, dashed || points.size() <= 30, std::move(points)};
  };
  LineFigure losses{"Losses", "mean a sample", Scale::linear, true, true, two_decimals, {}};
  const auto soft = training(run, &StepRecord::soft_loss, &Evaluation::soft_loss);
  const bool apart = std::any_of(soft.begin(), soft.end(),
                                 [](const Point& point) { return std::isfinite(point.y); });
  losses.lines.push_back(
      line("training", 0, false, training(run, &StepRecord::loss, &Evaluation::loss)));
  if (apart) {
    losses.lines.push_back(line("soft", 2, false, soft));
    losses.lines.push_back(
        line("hard", 3, false, training(run, &StepRecord::hard_loss, &Evaluation::hard_loss)));
  }
  losses.lines.push_back(
      line("validation", 1, true, over_epochs(run, &EpochRecord::validation, &Evaluation::loss)));
  LineFigure accuracy{"Accuracy", "%, spread by the error", Scale::error, false, true, compact, {}};
  accuracy.lines.push_back(
      line("training", 0, false, over_epochs(run, &EpochRecord::train, &Evaluation::accuracy)));
  accuracy.lines.push_back(line("validation", 1, true,
                                over_epochs(run, &EpochRecord::validation, &Evaluation::accuracy)));
  return line_figure(losses) + line_figure(accuracy);
}

/// Several runs: one figure a quantity, one colour a run.
std::string compared_curves(const Runs& runs, const Summaries& summaries) {
  const auto of_training = [](double StepRecord::*step, double Evaluation::*epoch) {
    return [=](const Run& run) { return training(run, step, epoch); };
  };
  const auto of_epochs = [](Evaluation EpochRecord::*set, double Evaluation::*value) {
    return [=](const Run& run) { return over_epochs(run, set, value); };
  };
  const auto draw = [&](const char* title, const char* unit, Scale scale, const Curve& curve) {
    const NumberText number = scale == Scale::error ? compact : two_decimals;
    return figure_of({title, unit, scale, scale == Scale::linear, false, number, {}}, runs,
                     summaries, curve);
  };
  const char* const loss = "mean a sample";
  const char* const spread = "%, spread by the error";
  std::string html = draw("Validation accuracy", spread, Scale::error,
                          of_epochs(&EpochRecord::validation, &Evaluation::accuracy)) +
                     draw("Training accuracy", spread, Scale::error,
                          of_epochs(&EpochRecord::train, &Evaluation::accuracy)) +
                     draw("Validation loss", loss, Scale::linear,
                          of_epochs(&EpochRecord::validation, &Evaluation::loss)) +
                     draw("Training loss", loss, Scale::linear,
                          of_training(&StepRecord::loss, &Evaluation::loss)) +
                     draw("Soft loss", "training, against the teacher", Scale::linear,
                          of_training(&StepRecord::soft_loss, &Evaluation::soft_loss)) +
                     draw("Hard loss", "training, against the labels", Scale::linear,
                          of_training(&StepRecord::hard_loss, &Evaluation::hard_loss));
  return html;
}

std::string curves(const Runs& runs, const Summaries& summaries) {
  std::string html = runs.size() == 1 ? own_curves(runs.front()) : compared_curves(runs, summaries);
  html += figure_of({"Learning rate", "", Scale::linear, true, false, compact, {}}, runs, summaries,
                    [](const Run& run) { return over_steps(run, &StepRecord::rate); });
  html += figure_of({"Throughput", "images/s, all ranks", Scale::linear, true, false, compact, {}},
                    runs, summaries,
                    [](const Run& run) { return over_steps(run, &StepRecord::images_per_s); });
  html += figure_of({"Memory", "MB", Scale::linear, true, false, compact, {}}, runs, summaries,
                    [](const Run& run) { return over_steps(run, &StepRecord::memory_mb); });
  if (html.empty()) return "<h2>Curves</h2><p class=\"lead\">No steps are in the logs yet.</p>\n";
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].steps.empty() || !runs[i].epochs.empty()) {
      entries.push_back({summaries[i].label, run_color(i)});
    }
  }
  const std::string names =
      runs.size() > 1 ? concat("<div class=\"sticky\">", legend(entries), "</div>") : "";
  return concat("<section><h2>Curves</h2>", names, "<div class=\"grid\">", html,
                "</div></section>\n");
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
  return concat("<h2>Costs</h2><div class=\"stack\">", html, "</div>\n");
}

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

std::string settings(const Runs& runs, const Summaries& summaries) {
  std::string html;
  if (runs.size() > 1) {
    html += details("Settings that differ", summaries, list_rows(runs, &Run::settings, true), true);
  }
  html += details("All settings", summaries, list_rows(runs, &Run::settings, false), false);
  html += details("Versions", summaries, list_rows(runs, &Run::versions, false), false);
  return html.empty() ? "" : "<h2>Settings and versions</h2>" + html;
}

}  // namespace

std::string report_page(const std::vector<Run>& runs) {
  const Summaries summaries = summarize(runs);
  const std::string title = runs.size() == 1 ? summaries.front().label : "report";
  std::string html = concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>",
      escape_html(title), " – bitstill</title><style>", page_style(),
      "</style></head><body><main>\n", header(runs, summaries), notes(runs, summaries));
  if (runs.size() == 1) html += tiles(runs.front(), summaries.front());
  if (!runs.empty()) {
    html += summary_table(summaries) + size_figure(runs, summaries) + curves(runs, summaries) +
            costs(runs, summaries) + settings(runs, summaries);
  }
  return html + "</main></body></html>\n";
}

}  // namespace bitstill
