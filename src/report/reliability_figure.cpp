#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation_figures.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr double kLeft = 44, kTop = 10, kSide = 280, kGap = 34, kCounts = 64;
constexpr double kFoot = kTop + kSide + kGap + kCounts;

double at_y(double accuracy) {
  return kTop + kSide * (1 - accuracy);
}

class Reliability {
 public:
  Reliability(const ClassificationTally& tally, int64_t most, double width, const std::string& css)
      : tally_(tally),
        most_(most),
        width_(width - kLeft - 8),
        svg_(width, kFoot + 2,
             concat("Accuracy over confidence. Expected calibration error ",
                    fixed(tally.calibration_error(), 2), " points."),
             css) {}

  std::string draw() {
    draw_frame();
    for (int64_t b = 0; b < kConfidenceBins; ++b) {
      if (const ConfidenceBin bin = tally_.bin(b); bin.samples > 0) draw_bin(b, bin);
    }
    svg_.open_group("var(--ink)");
    svg_.path(concat("M", coordinate(at_x(0)), " ", coordinate(at_y(0)), "L", coordinate(at_x(1)),
                     " ", coordinate(at_y(1))),
              "curve dashed");
    svg_.close_group();
    svg_.line(kLeft, kFoot, kLeft + width_, kFoot, "base");
    svg_.text(kLeft - 8, kFoot - kCounts + 10, Anchor::end, "tick",
              compact(static_cast<double>(most_)));
    return svg_.finish();
  }

 private:
  double at_x(double confidence) const { return kLeft + width_ * confidence; }

  void draw_frame() {
    for (const int percent : {0, 20, 40, 60, 80, 100}) {
      const double part = percent / 100.0;
      svg_.line(kLeft, at_y(part), kLeft + width_, at_y(part), percent == 0 ? "base" : "grid");
      svg_.text(kLeft - 8, at_y(part) + 4, Anchor::end, "tick", concat(percent));
      svg_.text(at_x(part), at_y(0) + 18, percent == 100 ? Anchor::end : Anchor::middle, "tick",
                concat(percent, percent < 100  ? ""
                                : width_ > 400 ? " % sure"
                                               : " %"));
    }
  }

  /// One bin: its accuracy above, its number of samples below.
  void draw_bin(int64_t b, const ConfidenceBin& bin) {
    const double x = at_x(static_cast<double>(b) / kConfidenceBins) + 1;
    const double width = width_ / kConfidenceBins - 2;
    const double accuracy = static_cast<double>(bin.correct) / static_cast<double>(bin.samples);
    const double tall = kCounts * static_cast<double>(bin.samples) / static_cast<double>(most_);
    const std::string tooltip =
        concat(bin.samples, " images, on average ", fixed(100 * bin.confidence, 1), " % sure, ",
               fixed(100 * accuracy, 1), " % right");
    svg_.open_group("var(--p-forward)");
    svg_.rectangle(x, at_y(accuracy), width, std::max(kSide * accuracy, 1.0), "bar", tooltip);
    svg_.close_group();
    svg_.open_group("var(--p-data)");
    svg_.rectangle(x, kFoot - tall, width, std::max(tall, 1.0), "bar", tooltip);
    svg_.close_group();
  }

  const ClassificationTally& tally_;
  int64_t most_;  // samples of a bin
  double width_;  // of the plot
  Svg svg_;
};

}  // namespace

std::string reliability_figure(const ClassificationTally& tally) {
  int64_t most = 0;
  for (int64_t b = 0; b < kConfidenceBins; ++b) most = std::max(most, tally.bin(b).samples);
  if (most == 0) return "";
  return concat(
      "<figure class=\"card blocks\"><figcaption>Reliability <small>percent right, by how sure the "
      "model is; below, the images in each bin</small></figcaption>",
      legend({{"right", "var(--p-forward)"}, {"images", "var(--p-data)"}}),
      Reliability(tally, most, 550, "roomy").draw(), Reliability(tally, most, 330, "narrow").draw(),
      "</figure>\n");
}

}  // namespace bitstill
