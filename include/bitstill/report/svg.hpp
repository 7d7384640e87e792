// One drawing as SVG text. Looks (strokes, fills, fonts) come from the page's style sheet by class.
#pragma once

#include <string>

namespace bitstill {

enum class Anchor { start, middle, end };

class Svg {
 public:
  /// `label` is what a screen reader says; `css` an extra class. Drawn a little larger than its
  /// own size at most, so that its texts are about as large as the page's.
  Svg(double width, double height, const std::string& label, const std::string& css = "");

  /// What follows is drawn in this CSS colour (currentColor) until close_group.
  void open_group(const std::string& color);
  void close_group() { text_ += "</g>"; }
  void line(double x1, double y1, double x2, double y2, const std::string& css);
  /// From end to end of an interval; a cap marks an end that is really there.
  struct End {
    double x, y;
    bool capped;
  };
  void interval(const End& from, const End& to);
  /// `data` is a path's d attribute.
  void path(const std::string& data, const std::string& css);
  void circle(double x, double y, double radius, const std::string& css,
              const std::string& tooltip = "");
  void rectangle(double x, double y, double width, double height, const std::string& css,
                 const std::string& tooltip = "");
  void text(double x, double y, Anchor anchor, const std::string& css, const std::string& text);

  /// Ends the drawing and returns it.
  std::string finish();

 private:
  void close(const char* element, const std::string& tooltip);
  std::string text_;
};

/// A coordinate with one decimal.
std::string coordinate(double value);

/// About how wide a text stands in the figures' font, in the drawing's units.
double text_width(const std::string& text);

}  // namespace bitstill
