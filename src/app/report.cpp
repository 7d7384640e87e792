// bitstill report: one HTML page and a table from run folders.
#include "bitstill/report/report.hpp"

#include <cstdio>

#include "bitstill/base/file.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"

namespace bitstill {

int run_report(World& world, const Words& arguments) {
  Words folders;
  std::string out = "report.html";
  SettingTable table;
  table.take_words(&folders, "RUN...                      run folders");
  table.add("out", &out, "the page to write");
  if (!read_settings(world, table, arguments, "bitstill report RUN... [--out FILE]")) return 0;
  agree(world.control(), [&] {
    if (world.place().rank != 0) return;
    if (folders.empty())
      throw Error(ExitCode::settings, "no run folder is given; bitstill report RUN...");
    std::vector<Run> runs;
    for (const std::string& folder : folders) runs.push_back(read_run(folder));
    replace_file(out, report_page(runs));
    std::printf("%s\n%s\n", report_table(runs).c_str(), out.c_str());
  });
  return 0;
}

}  // namespace bitstill
