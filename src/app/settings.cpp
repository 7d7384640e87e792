#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/text.hpp"
#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/injected_fault.hpp"
#include "bitstill/config/help_pages.hpp"
#include "bitstill/store/model_file.hpp"
#include "command.hpp"

namespace bitstill {

bool read_settings(World& world, SettingTable& table, const Words& arguments,
                   const std::string& summary) {
  static bool believes = false;
  static std::string fault;
  table.add("no-verify", &believes,
            "do not compare model files with the SHA-256 that they carry (huge ones)");
  table.add("debug.inject", &fault,
            "KIND:PHASE,RANK,STEP: a fault that a test asks for (BITSTILL_TEST=1)");
  const std::string help = table.help();
  for (const std::string& argument : arguments) {
    std::string page;
    if (argument == "--help") page = summary + "\n\n" + help;
    if (argument == "--help=man") page = manual_part(summary, help);
    if (argument == "--help=bash") page = completion_part(help);
    if (page.empty()) continue;
    if (world.place().rank == 0) std::printf("%s", page.c_str());
    return false;
  }
  agree(world.control(), [&] { table.read(arguments); });
  require_equal(world.control(), table.values(), ExitCode::settings);
  if (believes) believe_model_files();
  if (!fault.empty()) agree(world.control(), [&] { inject_fault(fault, world.place().rank); });
  return true;
}

void require_ending(const std::string& setting, const std::string& path,
                    const std::string& ending) {
  std::string end = path.substr(path.size() - std::min(path.size(), ending.size()));
  std::transform(end.begin(), end.end(), end.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (path.empty() || end == ending) return;
  const std::string named = std::filesystem::path(path).replace_extension(ending).string();
  throw Error(ExitCode::settings, concat(setting, " = ", path, ": what is written is a ", ending,
                                         " file; name it ", named));
}

}  // namespace bitstill
