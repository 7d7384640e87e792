#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

struct Box {
  double left, top, right, bottom;
};

bool touch(const Box& a, const Box& b) {
  return std::min(a.right, b.right) > std::max(a.left, b.left) &&
         std::min(a.bottom, b.bottom) > std::max(a.top, b.top);
}

bool complete(const SizePoint& point) {
  return std::isfinite(point.bytes) && point.bytes > 0 && std::isfinite(point.accuracy);
}

std::string whole_bytes(double bytes) {
  std::string text = bytes_text(bytes);
  const auto at = text.find(".0 ");
  return at == std::string::npos ? text : text.erase(at, 2);
}

class Scatter {
 public:
  Scatter(const std::vector<SizePoint>& points, double width)
      : points_(points),
        width_(width),
        x_(Spacing::logarithmic, sizes(points)),
        y_(Spacing::error, accuracies(points)) {}

  std::string draw(const std::string& css) {
    std::string description = "Test accuracy over file size.";
    for (const auto& point : points_) {
      description += concat(" ", point.name, ": ", fixed(point.accuracy, 1), " percent at ",
                            bytes_text(point.bytes), ".");
    }
    Svg svg(width_, kHeight, description, css);
    draw_axes(svg);
    draw_frontier(svg);
    for (const auto& point : points_) draw_point(svg, point);
    draw_names(svg);
    return svg.finish();
  }

 private:
  static constexpr double kHeight = 340, kLeft = 48, kTop = 14, kBottom = 296;

  static std::vector<double> sizes(const std::vector<SizePoint>& points) {
    std::vector<double> values;
    for (const auto& point : points) {
      values.push_back(point.bytes / 1.15);  // room for the names beside the outermost points
      values.push_back(point.bytes * 1.15);
    }
    return values;
  }
  static std::vector<double> accuracies(const std::vector<SizePoint>& points) {
    std::vector<double> values;
    for (const auto& point : points) {
      values.insert(values.end(), {point.accuracy, point.low, point.high});
    }
    return values;
  }
  double right() const { return width_ - 14; }
  double at_x(double bytes) const { return kLeft + x_.place(bytes) * (right() - kLeft); }
  double at_y(double accuracy) const { return kBottom - y_.place(accuracy) * (kBottom - kTop); }

  void draw_axes(Svg& svg) const {
    const auto labels = tick_labels(y_.ticks());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const double y = at_y(y_.ticks()[i]);
      svg.line(kLeft, y, right(), y, "grid");
      svg.text(kLeft - 7, y + 4, Anchor::end, "tick", labels[i]);
    }
    svg.line(kLeft, kBottom, right(), kBottom, "base");
    double free_from = 0;  // labels that would touch the one before are left out
    for (const double tick : x_.ticks()) {
      svg.line(at_x(tick), kTop, at_x(tick), kBottom + 4, "grid");
      const std::string text = whole_bytes(tick);
      const double half = text_width(text) / 2;
      if (at_x(tick) - half < free_from || at_x(tick) + half > width_) continue;
      svg.text(at_x(tick), kBottom + 18, Anchor::middle, "tick", text);
      free_from = at_x(tick) + half + 8;
    }
    svg.text((kLeft + right()) / 2, kHeight - 6, Anchor::middle, "tick",
             "bytes of the file that ships");
  }

  void draw_frontier(Svg& svg) {
    std::string data;
    double last_x = 0, last_y = 0;
    for (const std::size_t i : frontier(points_)) {
      const double x = at_x(points_[i].bytes), y = at_y(points_[i].accuracy);
      if (data.empty()) {
        data = concat("M", coordinate(x), " ", coordinate(y));
      } else {
        data += concat("H", coordinate(x), "V", coordinate(y));
        taken_.push_back({last_x, last_y - 2, x, last_y + 2});
        taken_.push_back({x - 2, y, x + 2, last_y});
      }
      last_x = x;
      last_y = y;
    }
    svg.path(data, "frontier");
  }

  void draw_point(Svg& svg, const SizePoint& point) const {
    const double x = at_x(point.bytes), y = at_y(point.accuracy);
    const bool interval = std::isfinite(point.low) && std::isfinite(point.high);
    svg.open_group(point.color);
    if (interval) {
      svg.interval({x, at_y(point.low), y_.covers(point.low)},
                   {x, at_y(point.high), y_.covers(point.high)});
    }
    svg.circle(x, y, 5, "dot",
               concat(point.name, "\n", fixed(point.accuracy, 2), " %",
                      interval ? concat(" (95 % interval ", fixed(point.low, 1), " to ",
                                        fixed(point.high, 1), ")")
                               : "",
                      "\n", bytes_text(point.bytes)));
    svg.close_group();
  }

  /// Each name at the free place nearest to its point, the frontier's first. No two names, dots,
  /// intervals or pieces of the frontier touch: a name without a place nearby is left out, its dot
  /// tells it when pointed at.
  void draw_names(Svg& svg) {
    for (const auto& point : points_) {
      const double x = at_x(point.bytes), y = at_y(point.accuracy);
      taken_.push_back({x - 7, y - 7, x + 7, y + 7});
      if (std::isfinite(point.low) && std::isfinite(point.high)) {
        taken_.push_back({x - 5, at_y(point.high) - 1, x + 5, at_y(point.low) + 1});
      }
    }
    std::vector<std::size_t> order = frontier(points_);
    const std::vector<std::size_t> first = order;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      if (std::find(first.begin(), first.end(), i) == first.end()) order.push_back(i);
    }
    for (const std::size_t i : order) {
      const SizePoint& point = points_[i];
      const std::string name = shorten(point.name, width_ > 500 ? 32 : 20);
      const auto box = best_place(at_x(point.bytes), at_y(point.accuracy), text_width(name));
      if (!box) continue;
      taken_.push_back(*box);
      svg.text((box->left + box->right) / 2, box->bottom - 3.5, Anchor::middle, "name", name);
    }
  }

  std::optional<Box> best_place(double x, double y, double width) const {
    constexpr double kTouches = 100;  // more than the farthest place costs
    Box best{};
    double least = kTouches;
    for (double dy = -40; dy <= 40; dy += 8) {
      for (const double dx : {12 + width / 2, -12 - width / 2, 0.0}) {
        const Box box{x + dx - width / 2, y + dy - 7.5, x + dx + width / 2, y + dy + 7.5};
        double cost = std::abs(dy) * 0.2 + (dx < 0 ? 1 : 0) + (dx == 0 ? 2 : 0);
        if (box.left < kLeft + 2 || box.right > width_) cost += 1e4;
        if (box.top < 0 || box.bottom > kBottom) cost += 1e4;
        for (const Box& other : taken_) cost += touch(box, other) ? kTouches : 0;
        if (cost >= least) continue;
        least = cost;
        best = box;
      }
    }
    if (least >= kTouches) return {};
    return best;
  }

  const std::vector<SizePoint>& points_;
  double width_;
  Axis x_, y_;
  std::vector<Box> taken_;
};

}  // namespace

std::vector<std::size_t> frontier(const std::vector<SizePoint>& points) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (complete(points[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (points[a].bytes != points[b].bytes) return points[a].bytes < points[b].bytes;
    return points[a].accuracy > points[b].accuracy;
  });
  double best = -HUGE_VAL;
  std::erase_if(order, [&](std::size_t i) {
    if (points[i].accuracy <= best) return true;
    best = points[i].accuracy;
    return false;
  });
  return order;
}

std::string scatter_figure(const std::vector<SizePoint>& points) {
  std::vector<SizePoint> shown;
  std::copy_if(points.begin(), points.end(), std::back_inserter(shown), complete);
  if (shown.empty()) return "";
  return concat(
      "<figure class=\"card\"><figcaption>Accuracy over size <small>test accuracy in %, "
      "bars are 95 % intervals; the line joins the runs that no other beats in both"
      "</small></figcaption>",
      Scatter(shown, 1120).draw("full"), Scatter(shown, 600).draw("middle"),
      Scatter(shown, 330).draw("narrow"), "</figure>\n");
}

}  // namespace bitstill
