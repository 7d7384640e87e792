#include <algorithm>
#include <cstdio>

#include "bitstill/base/version.hpp"
#include "bitstill/comm/agree.hpp"
#include "command.hpp"

namespace bitstill {

bool read_settings(World& world, SettingTable& table, const Words& arguments,
                   const std::string& summary) {
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    if (world.place().rank == 0) std::printf("%s\n\n%s", summary.c_str(), table.help().c_str());
    return false;
  }
  agree(world.control(), [&] { table.read(arguments); });
  return true;
}

std::string recipe_text(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    if (name != "config" && name != "resume" && name != "overwrite" && name != "dry-run" &&
        !value.empty()) {
      text += name + " = " + value + "\n";
    }
  }
  return text;
}

}  // namespace bitstill
