// bitstill report: one HTML page and a table from run folders, or from a study's folder.
#include "bitstill/report/report.hpp"

#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/config/study.hpp"
#include "bitstill/report/find_runs.hpp"
#include "command.hpp"
#include "report.hpp"

namespace bitstill {
namespace {

struct Settings {
  Words folders;
  std::string out, csv, json;
};

void write_facts(const Settings& s, const std::string& csv, const Json& json) {
  if (!s.csv.empty()) replace_file(s.csv, csv);
  if (s.json.empty()) return;
  replace_file(s.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void report_runs(const Settings& s) {
  const FoundRuns found = find_runs(s.folders);
  if (!found.skipped.empty()) say("skipped, no runs: " + list_names(found.skipped));
  const std::vector<Run> runs = read_runs(found.folders);
  const std::string page = s.out.empty() ? "report.html" : s.out;
  replace_file(page, report_page(runs));
  write_facts(s, report_csv(runs), report_json(runs));
  std::printf("%s\n%s\n", report_table(runs).c_str(), page.c_str());
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
  replace_file(page, study_page(study, std::filesystem::path(page).parent_path().string()));
  replace_file(markdown, study_markdown(study));
  std::printf("%s\n%s\n%s\n", study_text(study).c_str(), page.c_str(), markdown.c_str());
}

int run_report(World& world, const Words& arguments) {
  Settings s;
  SettingTable table;
  table.take_words(
      &s.folders,
      "RUN...                      folders of runs, or of a study; others are searched "
      "for runs below them");
  table.add("out", &s.out,
            "the page to write; empty: report.html, of a study FOLDER/report.html (and .md)");
  table.add("csv", &s.csv, "a table to write besides: a line a run; of a study, a line an arm");
  table.add("json", &s.json, "a file to write besides: the same, settings, curves and notes");
  if (!read_settings(world, table, arguments,
                     "bitstill report RUN... [--out FILE] [--csv FILE] [--json FILE]")) {
    return 0;
  }
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    require_ending("out", s.out, ".html");
    require_ending("csv", s.csv, ".csv");
    require_ending("json", s.json, ".json");
    if (s.folders.empty()) {
      throw Error(ExitCode::settings, "no run folder is given; bitstill report RUN...");
    }
    if (s.folders.size() != 1 || !is_study(s.folders[0])) return report_runs(s);
    const Study study = study_of(s.folders[0]);
    report_study(study, s.out.empty() ? s.folders[0] + "/report.html" : s.out);
    write_facts(s, study_csv(study), study_json(study));
  });
  return 0;
}

}  // namespace bitstill
