#include <algorithm>
#include <cmath>
#include <set>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/frame.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/scaling.hpp"
#include "bitstill/report/style.hpp"

namespace bitstill {
namespace {

std::string header(const ScalingStudy& study) {
  return page_header("scaling", study.name,
                     concat(study.rows.size(), " points measured, ", study.simulated.size(),
                            " simulated")) +
         notes_list(study.notes);
}

Line measured(const ScalingStudy& study, const std::string& mode) {
  Line line{"measured", run_color(0), false, true, {}};
  for (const ScalingRow& row : study.rows) {
    if (row.mode != mode) continue;
    Point point{static_cast<double>(row.nodes), row.efficiency.median};
    if (row.repeats > 1) {
      point.low = row.efficiency.low;
      point.high = row.efficiency.high;
    }
    line.points.push_back(point);
  }
  return line;
}

std::vector<Point> over_nodes(const ScalingStudy& study, double SimulatedRow::*value) {
  std::vector<Point> points;
  for (const SimulatedRow& row : study.simulated) {
    points.push_back({static_cast<double>(row.nodes), row.*value});
  }
  return points;
}

/// Efficiency over nodes, what was measured on top. Empty without a point.
std::string efficiency_figure(const std::string& title, std::vector<Line> lines) {
  std::set<double> nodes;
  double least = 100;
  for (const Line& line : lines) {
    for (const Point& point : line.points) {
      if (!std::isfinite(point.y)) continue;
      nodes.insert(point.x);
      least = std::min(least, point.y);
    }
  }
  if (nodes.empty()) return "";
  Line ideal{"ideal", "var(--soft)", true, false, {}};
  ideal.thin = true;
  for (const double count : nodes) ideal.points.push_back({count, 100});
  lines.insert(lines.begin(), ideal);
  LineFigure figure{title, "% over nodes; bars: lowest to highest of the repeats"};
  figure.from_zero = least < 50;  // else the axis would be empty below, the lines pressed together
  figure.legend = true;
  figure.x = figure.over = "nodes";
  figure.x_scale = Spacing::logarithmic;
  figure.x_ticks = {nodes.begin(), nodes.end()};
  figure.lines = std::move(lines);
  return line_figure(figure);
}

std::string weak_figure(const ScalingStudy& study) {
  Line formula{"formula", run_color(2), false, false,
               over_nodes(study, &SimulatedRow::formula_efficiency)};
  formula.thin = true;
  Line simulated{"simulated, not measured", run_color(1), true, true,
                 over_nodes(study, &SimulatedRow::efficiency)};
  simulated.hollow = true;
  return efficiency_figure("Weak scaling: efficiency",
                           {formula, simulated, measured(study, "weak")});
}

std::string figures(const ScalingStudy& study) {
  const std::string html = weak_figure(study) + efficiency_figure("Strong scaling: efficiency",
                                                                  {measured(study, "strong")});
  return html.empty() ? "" : concat("<div class=\"grid\">", html, "</div>\n");
}

std::string section(const char* title, const std::vector<Cells>& cells, std::size_t text_columns,
                    const std::string& legend) {
  if (cells.empty()) return "";
  return concat("<h2>", title, "</h2>",
                html_table(cells, text_columns, {"card summary study", {}, {}}),
                "<p class=\"lead\"><small>", escape_html(legend), "</small></p>\n");
}

std::string measured_section(const ScalingStudy& study) {
  return section(
      "Measured", measured_cells(study), kMeasuredTextColumns,
      concat("Medians, and over repeats the lowest to the highest. Efficiency: ", study.unit,
             " a second and node against the mode's fewest nodes. Pieces: of a teacher "
             "in slices. Memory: the peak of rank 0."));
}

std::string simulated_section(const ScalingStudy& study) {
  return section("Simulated", simulated_cells(study), kSimulatedTextColumns,
                 simulation_limits() + " Efficiency: of a step, the part without waiting.");
}

}  // namespace

std::string scaling_page(const ScalingStudy& study) {
  return page_frame(study.name, header(study) + figures(study) + measured_section(study) +
                                    simulated_section(study));
}

}  // namespace bitstill
