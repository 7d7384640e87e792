#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

// The drawing's units are about CSS pixels in a card of usual width.
constexpr double kWidth = 380, kHeight = 232;
constexpr double kLeft = 44, kRight = 366, kTop = 12, kBottom = 196;

bool drawn(const Point& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

struct Frame {
  Axis x, y;
  double at_x(double value) const { return kLeft + x.place(value) * (kRight - kLeft); }
  double at_y(double value) const { return kBottom - y.place(value) * (kBottom - kTop); }
};

void draw_frame(Svg& svg, const Frame& frame) {
  const auto labels = tick_labels(frame.y.ticks());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double y = frame.at_y(frame.y.ticks()[i]);
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 7, y + 4, Anchor::end, "tick", labels[i]);
  }
  svg.line(kLeft, kBottom, kRight, kBottom, "base");
  for (const double tick : frame.x.ticks()) {
    svg.line(frame.at_x(tick), kBottom, frame.at_x(tick), kBottom + 4, "base");
    svg.text(frame.at_x(tick), kBottom + 17, Anchor::middle, "tick", compact(tick));
  }
  svg.text((kLeft + kRight) / 2, kHeight - 4, Anchor::middle, "tick", "epoch");
}

void draw_line(Svg& svg, const Frame& frame, const Line& line) {
  std::string data;
  bool pen_down = false;
  for (const Point& point : line.points) {
    if (drawn(point)) {
      data += concat(pen_down ? "L" : "M", coordinate(frame.at_x(point.x)), " ",
                     coordinate(frame.at_y(point.y)));
    }
    pen_down = drawn(point);
  }
  svg.open_group(line.color);
  svg.path(data, line.dashed ? "curve dashed" : "curve");
  for (const Point& point : line.points) {
    if (!drawn(point)) continue;
    const double x = frame.at_x(point.x), y = frame.at_y(point.y);
    if (line.markers) svg.circle(x, y, 2.6, "mark");
    svg.circle(x, y, 6, "hit",
               concat(line.name, "\nepoch ", compact(point.x, 4), ": ", compact(point.y, 4)));
  }
  svg.close_group();
}

/// "Loss over epochs. a ends at 0.21; b ends at 0.3."
std::string description(const LineFigure& figure) {
  std::string text = figure.title + " over epochs.";
  for (const Line& line : figure.lines) {
    const auto last = std::find_if(line.points.rbegin(), line.points.rend(), drawn);
    if (last != line.points.rend()) {
      text += concat(" ", line.name, " ends at ", compact(last->y, 4), ".");
    }
  }
  return text;
}

}  // namespace

std::string legend(const std::vector<LegendEntry>& entries) {
  std::string html = "<ul class=\"legend\">";
  for (const LegendEntry& entry : entries) {
    html +=
        concat("<li><span class=\"key ", entry.css, "\" style=\"color:", escape_html(entry.color),
               "\"></span>", escape_html(entry.name), "</li>");
  }
  return html + "</ul>";
}

std::vector<Point> thin(const std::vector<Point>& points, std::size_t most) {
  if (points.size() <= most || most == 0) return points;
  std::vector<Point> result;
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t begin = i * points.size() / most, end = (i + 1) * points.size() / most;
    double sum = 0, count = 0;
    for (std::size_t j = begin; j < end; ++j) {
      if (!std::isfinite(points[j].y)) continue;
      sum += points[j].y;
      ++count;
    }
    result.push_back({points[end - 1].x, count > 0 ? sum / count : kMissing});
  }
  return result;
}

std::string line_figure(const LineFigure& figure) {
  std::vector<double> xs, ys;
  std::vector<LegendEntry> entries;
  for (const Line& line : figure.lines) {
    bool any = false;
    for (const Point& point : line.points) {
      if (!drawn(point)) continue;
      xs.push_back(point.x);
      ys.push_back(point.y);
      any = true;
    }
    if (any) entries.push_back({line.name, line.color, line.dashed ? "dashed" : ""});
  }
  if (xs.empty()) return "";
  const Frame frame{Axis(Spacing::linear, xs, true, Axis::End::exact),
                    Axis(figure.scale, ys, figure.from_zero)};
  Svg svg(kWidth, kHeight, description(figure));
  draw_frame(svg, frame);
  for (const Line& line : figure.lines) draw_line(svg, frame, line);
  return concat("<figure class=\"card\"><figcaption>", escape_html(figure.title), " <small>",
                escape_html(figure.unit), "</small></figcaption>",
                figure.legend ? legend(entries) : "", svg.finish(), "</figure>\n");
}

}  // namespace bitstill
