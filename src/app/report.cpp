// bitstill report: one HTML page and a table from run folders, or from a study's folder.
#include "bitstill/report/report.hpp"

#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/config/study.hpp"
#include "command.hpp"
#include "report.hpp"

namespace bitstill {
namespace {

void report_runs(const Words& folders, const std::string& out) {
  std::vector<Run> runs;
  for (const std::string& folder : folders) runs.push_back(read_run(folder));
  replace_file(out, report_page(runs));
  std::printf("%s\n%s\n", report_table(runs).c_str(), out.c_str());
}

/// The study as its command last knew it.
Study study_of(const std::string& folder) {
  Study study = read_study(folder);
  const std::string recipe = folder + "/study.cfg";
  if (!std::filesystem::exists(recipe)) return study;
  RunConfig base;
  StudyOptions options;
  SettingTable table;
  table.add_section("study", options);
  add_settings(table, base);
  table.read({"--config", recipe});
  study.pm_gap = options.pm_gap;
  return study;
}

}  // namespace

void report_study(const Study& study, const std::string& page) {
  const std::string markdown = page.substr(0, page.rfind(".html")) + ".md";
  replace_file(page, study_page(study));
  replace_file(markdown, study_markdown(study));
  std::printf("%s\n%s\n%s\n", study_text(study).c_str(), page.c_str(), markdown.c_str());
}

int run_report(World& world, const Words& arguments) {
  Words folders;
  std::string out;
  SettingTable table;
  table.take_words(&folders, "RUN...                      run folders, or one folder of a study");
  table.add("out", &out,
            "the page to write; empty: report.html, of a study FOLDER/report.html (and .md)");
  if (!read_settings(world, table, arguments, "bitstill report RUN... [--out FILE]")) return 0;
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    require_ending("out", out, ".html");
    if (folders.empty())
      throw Error(ExitCode::settings, "no run folder is given; bitstill report RUN...");
    if (folders.size() == 1 && is_study(folders[0])) {
      report_study(study_of(folders[0]), out.empty() ? folders[0] + "/report.html" : out);
    } else {
      report_runs(folders, out.empty() ? "report.html" : out);
    }
  });
  return 0;
}

}  // namespace bitstill
