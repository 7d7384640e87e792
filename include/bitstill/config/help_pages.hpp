// The settings of a command in other forms than --help: for the manual page and for completion in
// Bash.
#pragma once

#include <string>

namespace bitstill {

/// Each is made from SettingTable::help(): words without a name first, then a line
/// "  --NAME  TEXT [DEFAULT]" a setting.

/// Roff: `summary` as it stands, then a tagged paragraph a setting.
std::string manual_part(const std::string& summary, const std::string& help);

/// Branches of a `case` over the word before the one to complete: what may follow it. A setting's
/// values stand in its TEXT as "one | two (explained) | three"; of other values nothing is known.
std::string completion_part(const std::string& help);

/// Text in roff: no character of it is a request or an escape.
std::string roff(const std::string& text);

}  // namespace bitstill
