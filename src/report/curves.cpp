#include <algorithm>
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/sections.hpp"
#include "bitstill/report/style.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostPoints = 100;  // of one curve: what a figure of this width can show

std::vector<Point> over_steps(const Run& run, double StepRecord::*value) {
  std::vector<Point> points;
  for (const StepRecord& step : run.steps) points.push_back({step.epoch, step.*value});
  return thin(points, kMostPoints);
}

std::vector<Point> over_epochs(const Run& run, Evaluation EpochRecord::*set,
                               double Evaluation::*value) {
  std::vector<Point> points;
  for (const EpochRecord& record : run.epochs) points.push_back({record.epoch, record.*set.*value});
  return points;
}

/// Interval means where the log has them, else the epochs' means.
std::vector<Point> training(const Run& run, double StepRecord::*step, double Evaluation::*epoch) {
  if (!run.steps.empty()) return over_steps(run, step);
  return over_epochs(run, &EpochRecord::train, epoch);
}

/// The figure with one curve a run.
using Curve = std::function<std::vector<Point>(const Run&)>;
std::string figure_of(LineFigure figure, const Runs& runs, const Summaries& summaries, bool markers,
                      const Curve& curve) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    figure.lines.push_back({summaries[i].label, run_color(i), false, markers, curve(runs[i])});
  }
  return line_figure(figure);
}

/// A single run: its losses in one figure, its accuracies in another.
std::string own_curves(const Run& run) {
  const auto line = [](const char* name, std::size_t color, bool dashed,
                       std::vector<Point> points) {
    return Line{name, run_color(color), dashed, dashed, std::move(points)};
  };
  LineFigure losses{"Losses", "mean a sample, log scale", Spacing::logarithmic, false, true};
  const auto soft = training(run, &StepRecord::soft_loss, &Evaluation::soft_loss);
  const bool apart = std::any_of(soft.begin(), soft.end(),
                                 [](const Point& point) { return std::isfinite(point.y); });
  losses.lines.push_back(
      line("training", 0, false, training(run, &StepRecord::loss, &Evaluation::loss)));
  if (apart) {
    losses.lines.push_back(line("soft", 2, false, soft));
    losses.lines.push_back(
        line("hard", 3, false, training(run, &StepRecord::hard_loss, &Evaluation::hard_loss)));
  }
  losses.lines.push_back(
      line("validation", 1, true, over_epochs(run, &EpochRecord::validation, &Evaluation::loss)));
  LineFigure accuracy{"Accuracy", "%, log scale of the error", Spacing::error, false, true};
  accuracy.lines.push_back(
      line("training", 0, false, over_epochs(run, &EpochRecord::train, &Evaluation::accuracy)));
  accuracy.lines.push_back(line("validation", 1, true,
                                over_epochs(run, &EpochRecord::validation, &Evaluation::accuracy)));
  return line_figure(losses) + line_figure(accuracy);
}

/// Several runs: one figure a quantity, one colour a run.
std::string compared_curves(const Runs& runs, const Summaries& summaries) {
  const auto of_training = [](double StepRecord::*step, double Evaluation::*epoch) {
    return [=](const Run& run) { return training(run, step, epoch); };
  };
  const auto of_epochs = [](Evaluation EpochRecord::*set, double Evaluation::*value) {
    return [=](const Run& run) { return over_epochs(run, set, value); };
  };
  const auto draw = [&](const char* title, const char* unit, Spacing scale, const Curve& curve) {
    const bool markers = scale == Spacing::error;  // by epochs
    return figure_of({title, unit, scale, false, false}, runs, summaries, markers, curve);
  };
  const char* const loss = "mean a sample, log scale";
  const char* const spread = "%, log scale of the error";
  std::string html = draw("Validation accuracy", spread, Spacing::error,
                          of_epochs(&EpochRecord::validation, &Evaluation::accuracy)) +
                     draw("Training accuracy", spread, Spacing::error,
                          of_epochs(&EpochRecord::train, &Evaluation::accuracy)) +
                     draw("Validation loss", loss, Spacing::logarithmic,
                          of_epochs(&EpochRecord::validation, &Evaluation::loss)) +
                     draw("Training loss", loss, Spacing::logarithmic,
                          of_training(&StepRecord::loss, &Evaluation::loss)) +
                     draw("Soft loss", "against the teacher, log scale", Spacing::logarithmic,
                          of_training(&StepRecord::soft_loss, &Evaluation::soft_loss)) +
                     draw("Hard loss", "against the labels, log scale", Spacing::logarithmic,
                          of_training(&StepRecord::hard_loss, &Evaluation::hard_loss));
  return html;
}

}  // namespace

std::string figures_below_legend(const std::vector<LegendEntry>& entries,
                                 const std::string& figures) {
  const std::string names =
      entries.empty() ? "" : concat("<div class=\"sticky\">", legend(entries), "</div>");
  return concat("<section><h2>Curves</h2>", names, "<div class=\"grid\">", figures,
                "</div></section>\n");
}

std::string curves_section(const Runs& runs, const Summaries& summaries) {
  std::string html = runs.size() == 1 ? own_curves(runs.front()) : compared_curves(runs, summaries);
  html += figure_of({"Learning rate", "", Spacing::linear, true, false}, runs, summaries, false,
                    [](const Run& run) { return over_steps(run, &StepRecord::rate); });
  html += figure_of({"Throughput", "images/s, all ranks", Spacing::linear, true, false}, runs,
                    summaries, false,
                    [](const Run& run) { return over_steps(run, &StepRecord::images_per_s); });
  html += figure_of({"Memory", "MB", Spacing::linear, true, false}, runs, summaries, false,
                    [](const Run& run) { return over_steps(run, &StepRecord::memory_mb); });
  if (html.empty()) return "<h2>Curves</h2><p class=\"lead\">No steps are in the logs yet.</p>\n";
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs.size() > 1 && (!runs[i].steps.empty() || !runs[i].epochs.empty())) {
      entries.push_back({summaries[i].label, run_color(i)});
    }
  }
  return figures_below_legend(entries, html);
}

}  // namespace bitstill
