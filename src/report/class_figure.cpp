#include <algorithm>
#include <numeric>

#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation_figures.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostBars = 40;
constexpr double kLabels = 120, kNumbers = 74, kRow = 26, kBar = 16, kFoot = 24;

struct ClassBar {
  std::string name;
  ClassificationCounts model, reference;  // no samples: there is none
};

double wrong(const ClassificationCounts& counts) {
  return 100 - counts.accuracy();
}

std::vector<ClassBar> bars_of(const EvaluationFacts& facts) {
  const ClassificationTally& tally = facts.model.tally;
  std::vector<int64_t> shown = least_accurate(tally, facts.classes.size());
  if (shown.size() > kMostBars) {
    shown.resize(kMostBars);
  } else {
    std::sort(shown.begin(), shown.end());
  }
  std::vector<ClassBar> bars;
  for (const int64_t label : shown) {
    bars.push_back({facts.classes.at(static_cast<std::size_t>(label)), tally.of_class(label), {}});
    if (facts.against) bars.back().reference = facts.against->reference.tally.of_class(label);
  }
  return bars;
}

void draw_bar(Svg& svg, const ClassBar& bar, double top, double width, const Axis& axis) {
  const auto x = [&](double percent) {
    return kLabels + (width - kLabels - kNumbers) * axis.place(percent);
  };
  const auto [low, high] = wilson_interval(bar.model.correct, bar.model.samples);
  const double middle = top + kBar / 2;
  svg.text(kLabels - 8, middle + 4, Anchor::end, "tick", shorten(bar.name, 16));
  svg.open_group("var(--p-exchange)");
  svg.rectangle(x(0), top, std::max(x(wrong(bar.model)) - x(0), 0.5), kBar, "bar",
                concat(bar.name, "\n", bar.model.correct, " of ", bar.model.samples,
                       " right, 95 % interval ", fixed(low, 1), " to ", fixed(high, 1), " %"));
  svg.close_group();
  svg.open_group("var(--ink)");
  svg.interval({x(100 - high), middle, true}, {x(100 - low), middle, true});
  svg.close_group();
  if (bar.reference.samples > 0) {
    svg.open_group("var(--p-forward)");
    svg.circle(x(wrong(bar.reference)), middle, 5, "dot",
               concat(bar.name, "\nreference: ", bar.reference.correct, " of ",
                      bar.reference.samples, " right"));
    svg.close_group();
  }
  svg.text(width, middle + 4, Anchor::end, "tick",
           concat(fixed(bar.model.accuracy(), 1), " % right"));
}

std::string drawing(const std::vector<ClassBar>& bars, double width, const std::string& css) {
  std::vector<double> ends = {0};
  for (const ClassBar& bar : bars) {
    ends.push_back(100 - wilson_interval(bar.model.correct, bar.model.samples).first);
    if (bar.reference.samples > 0) ends.push_back(wrong(bar.reference));
  }
  const Axis axis(Spacing::linear, ends, true);
  const double foot = kRow * static_cast<double>(bars.size());
  Svg svg(width, foot + kFoot, concat("Wrong answers of ", bars.size(), " classes in percent."),
          css);
  const std::vector<std::string> labels = tick_labels(axis.ticks());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double x = kLabels + (width - kLabels - kNumbers) * axis.place(axis.ticks()[i]);
    svg.line(x, 0, x, foot, i == 0 ? "base" : "grid");
    svg.text(x, foot + 16, Anchor::middle, "tick", labels[i]);
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    draw_bar(svg, bars[i], kRow * static_cast<double>(i) + (kRow - kBar) / 2, width, axis);
  }
  return svg.finish();
}

}  // namespace

std::string class_figure(const EvaluationFacts& facts) {
  const std::vector<ClassBar> bars = bars_of(facts);
  if (bars.empty()) return "";
  std::vector<LegendEntry> entries = {{"this model, 95 % interval", "var(--p-exchange)"}};
  if (facts.against) entries.push_back({"reference", "var(--p-forward)"});
  return concat(
      "<figure class=\"card blocks\"><figcaption>Wrong answers by class <small>percent "
      "of its images",
      bars.size() < facts.classes.size()
          ? concat("; ", bars.size(), " of ", facts.classes.size(), " classes")
          : "",
      "</small></figcaption>", legend(entries), drawing(bars, 550, "roomy"),
      drawing(bars, 330, "narrow"), "</figure>\n");
}

}  // namespace bitstill
