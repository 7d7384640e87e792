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
constexpr double kRoom = 1.15;  // beside the outermost points of a logarithmic x axis

bool drawn(const Point& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

bool ranged(const Point& point) {
  return std::isfinite(point.low) && std::isfinite(point.high);
}

/// Classes of a line and of its key.
std::string look(const Line& line) {
  return concat(line.dashed ? "dashed" : "", line.dashed && line.thin ? " " : "",
                line.thin ? "thin" : "");
}

/// Counts stand there in full: "1,024".
std::string x_text(const LineFigure& figure, double x, int digits) {
  return figure.x_ticks.empty() ? compact(x, digits) : grouped(x);
}

struct Frame {
  Axis x, y;
  double at_x(double value) const { return kLeft + x.place(value) * (kRight - kLeft); }
  double at_y(double value) const { return kBottom - y.place(value) * (kBottom - kTop); }
};

void draw_frame(Svg& svg, const Frame& frame, const LineFigure& figure) {
  const auto labels = tick_labels(frame.y.ticks());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double y = frame.at_y(frame.y.ticks()[i]);
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 7, y + 4, Anchor::end, "tick", labels[i]);
  }
  svg.line(kLeft, kBottom, kRight, kBottom, "base");
  double free_from = 0;  // labels that would touch the one before are left out
  for (const double tick : figure.x_ticks.empty() ? frame.x.ticks() : figure.x_ticks) {
    const double x = frame.at_x(tick);
    svg.line(x, kBottom, x, kBottom + 4, "base");
    const std::string label = x_text(figure, tick, 3);
    const double half = text_width(label) / 2;
    if (x - half < free_from) continue;
    svg.text(x, kBottom + 17, Anchor::middle, "tick", label);
    free_from = x + half + 4;
  }
  svg.text((kLeft + kRight) / 2, kHeight - 4, Anchor::middle, "tick", figure.x);
}

/// "a\nepoch 3: 0.21"
std::string tooltip(const LineFigure& figure, const Line& line, const Point& point) {
  std::string text =
      concat(line.name, "\n", figure.x, " ", x_text(figure, point.x, 4), ": ", compact(point.y, 4));
  if (ranged(point))
    text += concat(" (", compact(point.low, 4), " to ", compact(point.high, 4), ")");
  return text;
}

void draw_line(Svg& svg, const Frame& frame, const LineFigure& figure, const Line& line) {
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
  const std::string css = look(line);
  svg.path(data, css.empty() ? "curve" : "curve " + css);
  for (const Point& point : line.points) {
    if (!drawn(point)) continue;
    const double x = frame.at_x(point.x), y = frame.at_y(point.y);
    if (ranged(point)) {
      svg.interval({x, frame.at_y(point.low), frame.y.covers(point.low)},
                   {x, frame.at_y(point.high), frame.y.covers(point.high)});
    }
    if (line.markers) svg.circle(x, y, 2.6, line.hollow ? "mark hollow" : "mark");
    svg.circle(x, y, 6, "hit", tooltip(figure, line, point));
  }
  svg.close_group();
}

/// "Loss over epochs. a ends at 0.21; b ends at 0.3."
std::string description(const LineFigure& figure) {
  std::string text = concat(figure.title, " over ", figure.over, ".");
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
      if (figure.x_scale == Spacing::logarithmic) {
        xs.insert(xs.end(), {point.x / kRoom, point.x * kRoom});
      } else {
        xs.push_back(point.x);
      }
      ys.insert(ys.end(), {point.y, point.low, point.high});
      any = true;
    }
    if (any) entries.push_back({line.name, line.color, look(line)});
  }
  if (xs.empty()) return "";
  const Frame frame{Axis(figure.x_scale, xs, true, Axis::End::exact),
                    Axis(figure.scale, ys, figure.from_zero)};
  Svg svg(kWidth, kHeight, description(figure));
  draw_frame(svg, frame, figure);
  for (const Line& line : figure.lines) draw_line(svg, frame, figure, line);
  return concat("<figure class=\"card\"><figcaption>", escape_html(figure.title), " <small>",
                escape_html(figure.unit), "</small></figcaption>",
                figure.legend ? legend(entries) : "", svg.finish(), "</figure>\n");
}

}  // namespace bitstill
