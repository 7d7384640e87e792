#include <cstdio>

#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/config/help_pages.hpp"
#include "command.hpp"

namespace bitstill {

bool read_settings(World& world, SettingTable& table, const Words& arguments,
                   const std::string& summary) {
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
  return true;
}

std::string recipe_text(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    if (name != "config" && name != "resume" && name != "dry-run" && !value.empty()) {
      text += name + " = " + value + "\n";
    }
  }
  return text;
}

}  // namespace bitstill
