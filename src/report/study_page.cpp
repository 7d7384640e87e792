#include <cctype>
#include <cstring>
#include <filesystem>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/frame.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/sections.hpp"
#include "bitstill/report/study.hpp"
#include "bitstill/report/style.hpp"

namespace bitstill {
namespace {

/// The colour of an arm, alike for all its bits; the teacher comes before the arms.
std::string arm_color(const StudyRow& row) {
  return run_color(static_cast<std::size_t>(row.order + 1));
}

std::string label_of(const StudyRow& row) {
  return row.bits == 0 ? row.title : concat(row.title, " ", row.bits);
}

std::string header(const Study& study) {
  std::size_t runs = 0;
  for (const auto* rows : {&study.rows, &study.sweep}) {
    for (const StudyRow& row : *rows) runs += row.members.size();
  }
  return page_header("study", study.name, concat(runs, " runs")) + notes_list(study.notes);
}

std::string targets_section(const Study& study) {
  std::vector<Cells> rows = {{"Target", "Figure", "Verdict"}};
  std::vector<std::string> colors;
  for (const Target& target : study_targets(study)) {
    rows.push_back({target.name, target.figure, target.pass ? "PASS" : "FAIL"});
    colors.emplace_back(target.pass ? "var(--c2)" : "var(--c6)");
  }
  const std::string table = html_table(rows, 2, {"card summary study", colors, {}});
  return table.empty() ? "" : concat("<h2>Targets</h2>", table, "\n");
}

std::string size_figure(const Study& study) {
  std::vector<SizePoint> points;
  for (const StudyRow& row : study.rows) {
    // Hundreds of times larger: it would squeeze the arms into a corner. The table has it.
    if (row.arm == "teacher" && study.rows.size() > 1) continue;
    const Interval test = accuracy(row);
    double bytes = 0;
    for (const StudyMember& member : row.members) bytes += member.bytes;
    points.push_back({label_of(row), arm_color(row),
                      bytes / static_cast<double>(row.members.size()), test.mean, test.low,
                      test.high});
  }
  const std::string figure = scatter_figure(points);
  return figure.empty() ? "" : concat("<div class=\"stack\">", figure, "</div>\n");
}

std::string grid_section(const Study& study) {
  std::vector<std::string> colors;
  for (const StudyRow& row : study.rows) colors.push_back(arm_color(row));
  const std::string table =
      html_table(grid_cells(study), kGridTextColumns, {"card summary study", colors, {}});
  if (table.empty()) return "";
  return concat("<h2>Arms</h2>", size_figure(study), table, "<p class=\"lead\"><small>",
                escape_html(study_legend(study)), "</small></p>\n");
}

std::string sweep_section(const Study& study) {
  const std::string table =
      html_table(sweep_cells(study), kSweepTextColumns, {"card summary study", {}, {}});
  if (table.empty()) return "";
  std::string html = concat("<h2>Sweep</h2>", table);
  for (const std::string& line : sweep_winners(study)) {
    html += concat("<p class=\"lead\">", escape_html(line), "</p>");
  }
  return html + "\n";
}

/// Means over the seeds that have trained so far.
std::vector<Point> mean_curve(const StudyRow& row, Evaluation EpochRecord::*set,
                              double Evaluation::*value) {
  std::map<double, std::vector<double>> by_epoch;
  for (const StudyMember& member : row.members) {
    for (const EpochRecord& record : member.run.epochs) {
      by_epoch[record.epoch].push_back(record.*set.*value);
    }
  }
  std::vector<Point> points;
  for (const auto& [epoch, values] : by_epoch)
    points.push_back({epoch, mean_interval(values).mean});
  return points;
}

std::string bits_text(int64_t bits) {
  return bits == 0 ? "fp32" : concat(bits, bits == 1 ? " bit" : " bits");
}

/// Two figures for each number of bits, one colour an arm.
std::string curves(const Study& study) {
  std::map<int64_t, std::vector<const StudyRow*>> by_bits;
  std::map<int64_t, LegendEntry> arms;  // by their order
  for (const StudyRow& row : study.rows) {
    by_bits[row.bits].push_back(&row);
    if (!row.members.front().run.epochs.empty()) arms[row.order] = {row.title, arm_color(row)};
  }
  std::string html;
  for (const auto& [bits, rows] : by_bits) {
    LineFigure accuracy{concat("Validation accuracy, ", bits_text(bits)),
                        "%, log scale of the error", Spacing::error};
    LineFigure loss{concat("Training loss, ", bits_text(bits)), "mean a sample, log scale",
                    Spacing::logarithmic};
    for (const StudyRow* row : rows) {
      accuracy.lines.push_back({row->title, arm_color(*row), false, true,
                                mean_curve(*row, &EpochRecord::validation, &Evaluation::accuracy)});
      loss.lines.push_back({row->title, arm_color(*row), false, false,
                            mean_curve(*row, &EpochRecord::train, &Evaluation::loss)});
    }
    html += line_figure(accuracy) + line_figure(loss);
  }
  std::vector<LegendEntry> entries;
  for (const auto& [order, entry] : arms) entries.push_back(entry);
  return html.empty() ? "" : figures_below_legend(entries, html);
}

/// One run of each row stands for its seeds.
std::string settings(const Study& study) {
  Runs runs;
  Cells labels;
  for (const auto* rows : {&study.rows, &study.sweep}) {
    for (const StudyRow& row : *rows) {
      runs.push_back(row.members.front().run);
      labels.push_back(concat(label_of(row), row.point.empty() ? "" : ", ", row.point));
      std::erase_if(runs.back().settings, [](const auto& setting) {
        return setting.first == "run.folder" || setting.first == "run.seed";
      });
    }
  }
  return runs.empty() ? "" : settings_section(runs, labels);
}

/// A path as a relative address; what a browser would take for something else is %-encoded.
std::string address(const std::filesystem::path& path) {
  std::string text;
  for (const char c : path.generic_string()) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("-._~/", c) != nullptr) {
      text += c;
    } else {
      char code[4];
      std::snprintf(code, sizeof code, "%%%02X",
                    static_cast<unsigned>(static_cast<unsigned char>(c)));
      text += code;
    }
  }
  return text;
}

/// Every run, with a link to its folder.
std::string runs_section(const Study& study, const std::string& page_folder) {
  std::vector<Cells> rows = {{"Run", "Arm", "Bits", "Seed", "Validation", "File", "Minutes"}};
  TableLook look{"card summary study", {}, {}};
  for (const auto* all : {&study.rows, &study.sweep}) {
    for (const StudyRow& row : *all) {
      for (const StudyMember& member : row.members) {
        const Summary summary = summarize({member.run}).front();
        rows.push_back({summary.label, row.title, row.bits == 0 ? "fp32" : concat(row.bits),
                        concat(member.seed), with_unit(fixed(summary.validation_accuracy, 1), " %"),
                        with_unit(grouped(summary.bytes), " B"), minutes_text(summary)});
        look.links.push_back(
            address(std::filesystem::absolute(member.run.folder)
                        .lexically_relative(std::filesystem::absolute(page_folder))) +
            "/");
      }
    }
  }
  if (rows.size() < 2) return "";
  return concat("<h2>Runs</h2>", html_table(rows, 2, look), "\n");
}

}  // namespace

std::string study_page(const Study& study, const std::string& page_folder) {
  return page_frame(study.name, header(study) + targets_section(study) + grid_section(study) +
                                    sweep_section(study) + curves(study) +
                                    runs_section(study, page_folder) + settings(study));
}

}  // namespace bitstill
