#include "bitstill/report/svg.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"

namespace bitstill {
namespace {

/// Line by line: escape_html makes the ends of lines visible.
std::string tooltip_lines(const std::string& text) {
  std::string html;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    html += concat(begin > 0 ? "\n" : "", escape_html(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return html;
}

}  // namespace

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", std::fmax(-1e5, std::fmin(1e5, value)));
  std::string digits = text;
  if (digits.size() > 2 && digits.substr(digits.size() - 2) == ".0")
    digits.resize(digits.size() - 2);
  return digits;
}

double text_width(const std::string& text) {
  std::size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return 6.6 * static_cast<double>(characters);
}

Svg::Svg(double width, double height, const std::string& label, const std::string& css) {
  text_ = concat("<svg class=\"", css, "\" style=\"max-width:", coordinate(1.2 * width),
                 "px\" viewBox=\"0 0 ", coordinate(width), " ", coordinate(height),
                 "\" role=\"img\" aria-label=\"", escape_html(label), "\">");
}

void Svg::open_group(const std::string& color) {
  text_ += concat("<g style=\"color:", escape_html(color), "\">");
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& css) {
  text_ += concat("<line class=\"", css, "\" x1=\"", coordinate(x1), "\" y1=\"", coordinate(y1),
                  "\" x2=\"", coordinate(x2), "\" y2=\"", coordinate(y2), "\"/>");
}

void Svg::interval(const End& from, const End& to) {
  constexpr double kCap = 4;  // to each side
  line(from.x, from.y, to.x, to.y, "interval");
  const bool upright = from.x == to.x;
  for (const End& end : {from, to}) {
    if (!end.capped) continue;
    if (upright) {
      line(end.x - kCap, end.y, end.x + kCap, end.y, "interval");
    } else {
      line(end.x, end.y - kCap, end.x, end.y + kCap, "interval");
    }
  }
}

void Svg::path(const std::string& data, const std::string& css) {
  text_ += concat("<path class=\"", css, "\" d=\"", data, "\"/>");
}

void Svg::circle(double x, double y, double radius, const std::string& css,
                 const std::string& tooltip) {
  text_ += concat("<circle class=\"", css, "\" cx=\"", coordinate(x), "\" cy=\"", coordinate(y),
                  "\" r=\"", coordinate(radius), "\"");
  close("circle", tooltip);
}

void Svg::rectangle(double x, double y, double width, double height, const std::string& css,
                    const std::string& tooltip) {
  text_ += concat("<rect class=\"", css, "\" x=\"", coordinate(x), "\" y=\"", coordinate(y),
                  "\" width=\"", coordinate(width), "\" height=\"", coordinate(height), "\"");
  close("rect", tooltip);
}

void Svg::text(double x, double y, Anchor anchor, const std::string& css, const std::string& text) {
  static const char* const kAnchors[] = {"start", "middle", "end"};
  text_ += concat("<text class=\"", css, "\" x=\"", coordinate(x), "\" y=\"", coordinate(y),
                  "\" text-anchor=\"", kAnchors[static_cast<int>(anchor)], "\">", escape_html(text),
                  "</text>");
}

void Svg::close(const char* element, const std::string& tooltip) {
  text_ += tooltip.empty() ? std::string("/>")
                           : concat("><title>", tooltip_lines(tooltip), "</title></", element, ">");
}

std::string Svg::finish() {
  return text_ + "</svg>\n";
}

}  // namespace bitstill
