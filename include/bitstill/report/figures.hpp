// Figures as inline SVG. Colours are CSS values; every piece of text is escaped here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitstill/report/axis.hpp"
#include "bitstill/report/report.hpp"

namespace bitstill {

using NumberText = std::function<std::string(double)>;

struct Point {
  double x = kMissing, y = kMissing;
  double low = kMissing, high = kMissing;  // of y, where it has a range
};

struct Line {
  std::string name, color;
  bool dashed = false;
  bool markers = false;
  std::vector<Point> points;  // by x; a NaN breaks the line
  bool thin = false;
  bool hollow = false;  // its markers
};

struct LineFigure {
  std::string title, unit;
  Spacing scale = Spacing::linear;
  bool from_zero = false;
  bool legend = false;  // names its lines itself
  std::vector<Line> lines = {};
  std::string x = "epoch", over = "epochs";
  Spacing x_scale = Spacing::linear;  // from zero; logarithmic: with room at both ends
  std::vector<double> x_ticks = {};   // whole numbers; empty: round values
};
/// Empty when no line has a point.
std::string line_figure(const LineFigure& figure);

struct Bar {
  std::string name;
  NamedNumbers parts;
  NamedNumbers hidden;  // went on during the parts before the one of the same name: no part of the
                        // sum
};

struct BarFigure {
  std::string title, unit;
  NumberText number;
  std::function<std::string(const std::string& part)> color;
  std::vector<Bar> bars;
};
/// Horizontal stacked bars, one a run, with what is hidden as a thin bar below, a legend and the
/// numbers as a table. Empty when no bar has a part above zero.
std::string bar_figure(const BarFigure& figure);

struct SizePoint {
  std::string name, color;
  double bytes = kMissing, accuracy = kMissing, low = kMissing, high = kMissing;
};
/// Indices of the points that no other beats in both bytes and accuracy, by ascending bytes.
std::vector<std::size_t> frontier(const std::vector<SizePoint>& points);
/// Accuracy over size with intervals, names and the frontier. Empty without a complete point.
std::string scatter_figure(const std::vector<SizePoint>& points);

struct LegendEntry {
  std::string name, color;
  std::string css = "";  // "dashed", "thin"
};
std::string legend(const std::vector<LegendEntry>& entries);

/// At most `most` points: means over runs of neighbours; the last keeps its x.
std::vector<Point> thin(const std::vector<Point>& points, std::size_t most);

}  // namespace bitstill
