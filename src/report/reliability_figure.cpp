#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation_figures.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr double kWidth = 550, kLeft = 44, kTop = 10, kSide = 280, kGap = 34, kCounts = 64;
constexpr double kPlotWidth = kWidth - kLeft - 8;

double at_x(double confidence) {
  return kLeft + kPlotWidth * confidence;
}

double at_y(double accuracy) {
  return kTop + kSide * (1 - accuracy);
}

void draw_frame(Svg& svg) {
  for (const int percent : {0, 20, 40, 60, 80, 100}) {
    const double part = percent / 100.0;
    svg.line(kLeft, at_y(part), kLeft + kPlotWidth, at_y(part), percent == 0 ? "base" : "grid");
    svg.text(kLeft - 8, at_y(part) + 4, Anchor::end, "tick", concat(percent));
    svg.text(at_x(part), at_y(0) + 18, percent == 100 ? Anchor::end : Anchor::middle, "tick",
             concat(percent, percent == 100 ? " % sure" : ""));
  }
}

/// One bin: its accuracy above, its number of samples below.
void draw_bin(Svg& svg, int64_t b, const ConfidenceBin& bin, int64_t most) {
  const double x = at_x(static_cast<double>(b) / kConfidenceBins) + 1;
  const double width = kPlotWidth / kConfidenceBins - 2;
  const double accuracy = static_cast<double>(bin.correct) / static_cast<double>(bin.samples);
  const double tall = kCounts * static_cast<double>(bin.samples) / static_cast<double>(most);
  const double foot = kTop + kSide + kGap + kCounts;
  const std::string tooltip =
      concat(bin.samples, " images, on average ", fixed(100 * bin.confidence, 1), " % sure, ",
             fixed(100 * accuracy, 1), " % right");
  svg.open_group("var(--p-forward)");
  svg.rectangle(x, at_y(accuracy), width, std::max(kSide * accuracy, 1.0), "bar", tooltip);
  svg.close_group();
  svg.open_group("var(--p-data)");
  svg.rectangle(x, foot - tall, width, std::max(tall, 1.0), "bar", tooltip);
  svg.close_group();
}

}  // namespace

std::string reliability_figure(const ClassificationTally& tally) {
  int64_t most = 0;
  for (int64_t b = 0; b < kConfidenceBins; ++b) most = std::max(most, tally.bin(b).samples);
  if (most == 0) return "";
  Svg svg(kWidth, kTop + kSide + kGap + kCounts + 2,
          concat("Accuracy over confidence. Expected calibration error ",
                 fixed(tally.calibration_error(), 2), " points."));
  draw_frame(svg);
  for (int64_t b = 0; b < kConfidenceBins; ++b) {
    if (const ConfidenceBin bin = tally.bin(b); bin.samples > 0) draw_bin(svg, b, bin, most);
  }
  svg.open_group("var(--ink)");
  svg.path(concat("M", coordinate(at_x(0)), " ", coordinate(at_y(0)), "L", coordinate(at_x(1)), " ",
                  coordinate(at_y(1))),
           "curve dashed");
  svg.close_group();
  const double foot = kTop + kSide + kGap + kCounts;
  svg.line(kLeft, foot, kLeft + kPlotWidth, foot, "base");
  svg.text(kLeft - 8, foot - kCounts + 10, Anchor::end, "tick", compact(static_cast<double>(most)));
  return concat(
      "<figure class=\"card blocks\"><figcaption>Reliability <small>percent right, by how sure the "
      "model is; below, the images in each bin</small></figcaption>",
      legend({{"right", "var(--p-forward)"}, {"images", "var(--p-data)"}}), svg.finish(),
      "</figure>\n");
}

}  // namespace bitstill
