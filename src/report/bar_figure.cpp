#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr double kRowHeight = 52, kBarHeight = 22;

double part_size(double value) {
  return std::isfinite(value) ? std::max(value, 0.0) : 0.0;
}

double total(const Bar& bar) {
  double sum = 0;
  for (const auto& [name, value] : bar.parts) sum += part_size(value);
  return sum;
}

/// Names of all parts, in order of first appearance.
std::vector<std::string> part_names(const std::vector<Bar>& bars) {
  std::vector<std::string> names;
  for (const Bar& bar : bars) {
    for (const auto& [name, value] : bar.parts) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
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

std::string number_table(const BarFigure& figure, const std::vector<std::string>& names) {
  std::string html =
      "<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr>"
      "<th scope=\"col\">Run</th>";
  for (const auto& name : names) html += concat("<th scope=\"col\">", escape_html(name), "</th>");
  html += "</tr></thead><tbody>";
  for (const Bar& bar : figure.bars) {
    html += concat("<tr><th scope=\"row\">", escape_html(bar.name), "</th>");
    for (const auto& name : names) {
      const auto part = std::find_if(bar.parts.begin(), bar.parts.end(),
                                     [&](const auto& entry) { return entry.first == name; });
      const double value = part == bar.parts.end() ? kMissing : part->second;
      html +=
          concat("<td>", std::isfinite(value) ? escape_html(figure.number(value)) : "–", "</td>");
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div></details>";
}

}  // namespace

std::string bar_figure(const BarFigure& figure) {
  const bool any = std::any_of(figure.bars.begin(), figure.bars.end(),
                               [](const Bar& bar) { return total(bar) > 0; });
  if (!any) return "";
  const auto names = part_names(figure.bars);
  std::vector<LegendEntry> entries;
  for (const auto& name : names) {
    const bool shown = std::any_of(figure.bars.begin(), figure.bars.end(), [&](const Bar& bar) {
      return std::any_of(bar.parts.begin(), bar.parts.end(), [&](const auto& part) {
        return part.first == name && part_size(part.second) > 0;
      });
    });
    if (shown) entries.push_back({name, figure.color(name)});
  }
  return concat("<figure class=\"card blocks\"><figcaption>", escape_html(figure.title), " <small>",
                escape_html(figure.unit), "</small></figcaption>", legend(entries),
                drawing(figure, 550, "roomy"), drawing(figure, 330, "narrow"),
                number_table(figure, names), "</figure>\n");
}

}  // namespace bitstill
