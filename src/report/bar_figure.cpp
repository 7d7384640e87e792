#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr double kRowHeight = 56, kBarHeight = 22, kHiddenHeight = 6;

double part_size(double value) {
  return std::isfinite(value) ? std::max(value, 0.0) : 0.0;
}

double total(const Bar& bar) {
  double sum = 0;
  for (const auto& [name, value] : bar.parts) sum += part_size(value);
  return sum;
}

/// Names of all that is above zero, in order of first appearance.
Cells names_of(const std::vector<Bar>& bars, NamedNumbers Bar::*numbers) {
  Cells names;
  for (const Bar& bar : bars) {
    for (const auto& [name, value] : bar.*numbers) {
      if (part_size(value) > 0 && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  return names;
}

/// Below the parts before the one of its name, up to where that begins.
void draw_hidden(Svg& svg, const BarFigure& figure, const Bar& bar, double top, double scale) {
  for (const auto& [name, value] : bar.hidden) {
    double end = 0;
    for (const auto& [part, size] : bar.parts) {
      if (part == name) break;
      end += part_size(size) * scale;
    }
    const double width = std::min(part_size(value) * scale, end);
    if (width <= 0) continue;
    svg.open_group(figure.color(name));
    svg.rectangle(end - width, top + kBarHeight + 2, width, kHiddenHeight, "bar",
                  concat(bar.name, "\n", name, " meanwhile: ", figure.number(value)));
    svg.close_group();
  }
}

void draw_bar(Svg& svg, const BarFigure& figure, const Bar& bar, double top, double scale) {
  const double sum = total(bar);
  double x = 0;
  for (const auto& [name, value] : bar.parts) {
    const double width = part_size(value) * scale;
    if (width <= 0) continue;
    svg.open_group(figure.color(name));
    svg.rectangle(x, top, std::max(width - 1, 0.5), kBarHeight, "bar",
                  concat(bar.name, "\n", name, ": ", figure.number(value), " (",
                         fixed(100 * value / sum, 1), " %)"));
    svg.close_group();
    const std::string both = concat(name, " ", figure.number(value));
    for (const std::string& text : {both, name}) {
      if (text_width(text) + 8 > width) continue;
      svg.text(x + width / 2, top + 15.5, Anchor::middle, "inside", text);
      break;
    }
    x += width;
  }
  draw_hidden(svg, figure, bar, top, scale);
}

std::string drawing(const BarFigure& figure, double width, const std::string& css) {
  double longest = 0;
  std::string description = figure.title + ".";
  for (const Bar& bar : figure.bars) {
    longest = std::max(longest, total(bar));
    description += concat(" ", bar.name, ": ", figure.number(total(bar)), ".");
  }
  const auto rows = static_cast<double>(figure.bars.size());
  Svg svg(width, rows * kRowHeight - 4, description, css);
  double top = 0;
  for (const Bar& bar : figure.bars) {
    const std::string sum = bar.parts.empty() ? "no figures" : figure.number(total(bar));
    const double room = width - text_width(sum) - 12;
    svg.text(0, top + 14, Anchor::start, "name",
             shorten(bar.name, static_cast<std::size_t>(room / text_width("m"))));
    svg.text(width, top + 14, Anchor::end, "tick", sum);
    draw_bar(svg, figure, bar, top + 21, width / longest);
    top += kRowHeight;
  }
  return svg.finish();
}

std::string number_table(const BarFigure& figure, const Cells& names, const Cells& hidden) {
  std::vector<Cells> rows = {{"Run"}};
  for (const auto& name : names) rows[0].push_back(name);
  rows[0].emplace_back("sum");
  for (const auto& name : hidden) rows[0].push_back(name + " meanwhile");
  for (const Bar& bar : figure.bars) {
    rows.push_back({bar.name});
    for (const auto& name : names)
      rows.back().push_back(figure.number(part_size(value_named(bar.parts, name))));
    rows.back().push_back(figure.number(total(bar)));
    for (const auto& name : hidden) {
      rows.back().push_back(figure.number(part_size(value_named(bar.hidden, name))));
    }
  }
  return concat("<details><summary>Numbers</summary>", html_table(rows, 1), "</details>");
}

}  // namespace

std::string bar_figure(const BarFigure& figure) {
  const bool any = std::any_of(figure.bars.begin(), figure.bars.end(),
                               [](const Bar& bar) { return total(bar) > 0; });
  if (!any) return "";
  const Cells names = names_of(figure.bars, &Bar::parts);
  const Cells hidden = names_of(figure.bars, &Bar::hidden);
  std::vector<LegendEntry> entries;
  for (const auto& name : names) entries.push_back({name, figure.color(name)});
  for (const auto& name : hidden) {
    entries.push_back({name + " meanwhile, no part of the sum", figure.color(name), "thin"});
  }
  return concat("<figure class=\"card blocks\"><figcaption>", escape_html(figure.title), " <small>",
                escape_html(figure.unit), "</small></figcaption>", legend(entries),
                drawing(figure, 550, "roomy"), drawing(figure, 330, "narrow"),
                number_table(figure, names, hidden), "</figure>\n");
}

}  // namespace bitstill
