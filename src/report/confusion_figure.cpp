#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/evaluation_figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/svg.hpp"

namespace bitstill {
namespace {

constexpr double kHead = 38, kReadable = 24;
constexpr int kLevels = 9;  // .h1 to .h9 of the style sheet

/// The square root makes rare mistakes visible.
int level_of(int64_t samples, int64_t row) {
  const double share = static_cast<double>(samples) / static_cast<double>(row);
  return std::clamp(static_cast<int>(std::ceil(kLevels * std::sqrt(share) - 1e-9)), 1, kLevels);
}

/// "3 cat", and "3" where the class is called so: columns are headed by number.
std::string row_label(int64_t label, const std::string& name, double room) {
  const std::string number = std::to_string(label);
  if (name == number) return name;
  const auto most = static_cast<std::size_t>(room / text_width("m")) - number.size() - 1;
  return concat(number, " ", shorten(visible(name), most));
}

class Matrix {
 public:
  Matrix(const ClassificationTally& tally, const std::vector<std::string>& classes, double width,
         const std::string& css)
      : tally_(tally),
        classes_(classes),
        labels_(width / 5),
        cell_((width - labels_) / static_cast<double>(tally.classes())),
        height_(std::min(cell_, 40.0)),
        svg_(width, kHead + height_ * static_cast<double>(tally.classes()) + 2, label(), css) {}

  std::string draw() {
    svg_.text(labels_, 12, Anchor::start, "tick", "taken for");
    svg_.text(0, 12, Anchor::start, "tick", "true class");
    for (int64_t c = 0; c < tally_.classes(); ++c) draw_heads(c);
    for (int64_t row = 0; row < tally_.classes(); ++row) {
      for (int64_t column = 0; column < tally_.classes(); ++column) draw_cell(row, column);
    }
    return svg_.finish();
  }

 private:
  std::string label() const {
    const ClassificationCounts counts = tally_.counts();
    return concat("Confusion matrix of ", tally_.classes(), " classes: ", counts.correct, " of ",
                  counts.samples, " on the diagonal.");
  }
  double left(int64_t column) const { return labels_ + cell_ * static_cast<double>(column); }
  double top(int64_t row) const { return kHead + height_ * static_cast<double>(row); }

  void draw_heads(int64_t c) {
    const std::string& name = classes_.at(static_cast<std::size_t>(c));
    if (height_ >= 10) {
      svg_.text(labels_ - 8, top(c) + height_ / 2 + 4, Anchor::end, "tick",
                row_label(c, name, labels_ - 8));
    }
    if (cell_ >= 18 || c % 5 == 0) {
      svg_.text(left(c) + cell_ / 2, kHead - 6, Anchor::middle, "tick", std::to_string(c));
    }
  }

  void draw_cell(int64_t row, int64_t column) {
    const int64_t samples = tally_.confusion(row, column), of = tally_.of_class(row).samples;
    if (samples == 0) return;
    const auto name = [&](int64_t c) { return classes_.at(static_cast<std::size_t>(c)); };
    const int level = level_of(samples, of);
    svg_.open_group(row == column ? "var(--p-forward)" : "var(--p-exchange)");
    svg_.rectangle(
        left(column), top(row), cell_ - 1, height_ - 1, concat("heat h", level),
        concat(name(row), row == column ? " recognized: " : " taken for " + name(column) + ": ",
               samples, " of ", of, " (",
               fixed(100 * static_cast<double>(samples) / static_cast<double>(of), 1), " %)"));
    svg_.close_group();
    const std::string number = std::to_string(samples);
    if (height_ < kReadable - 6 || text_width(number) + 4 > cell_) return;
    svg_.text(left(column) + (cell_ - 1) / 2, top(row) + height_ / 2 + 4, Anchor::middle,
              level == kLevels ? "inside" : "cell", number);
  }

  const ClassificationTally& tally_;
  const std::vector<std::string>& classes_;
  double labels_;         // room for the rows' names
  double cell_, height_;  // of a cell
  Svg svg_;
};

}  // namespace

std::string confusion_figure(const ClassificationTally& tally,
                             const std::vector<std::string>& classes) {
  if (tally.classes() > kMostDrawnClasses || tally.counts().samples == 0) return "";
  return concat(
      "<figure class=\"card\"><figcaption>Confusion matrix <small>images; the stronger the colour, "
      "the larger the share of the true class</small></figcaption>",
      Matrix(tally, classes, 550, "roomy").draw(), Matrix(tally, classes, 330, "narrow").draw(),
      "</figure>\n");
}

}  // namespace bitstill
