// What every page has: the document around it, its head line, its tiles.
#pragma once

#include <string>

namespace bitstill {

/// The whole document: no scripts, no links, light and dark. `body` is markup, `title` text.
std::string page_frame(const std::string& title, const std::string& body);

/// "bitstill COMMAND" above the title, `about` below it; all text.
std::string page_header(const std::string& command, const std::string& title,
                        const std::string& about);

/// One number of a <dl class="tiles">, a line of text below it; empty for the value "-".
std::string tile(const std::string& name, const std::string& value, const std::string& below);

}  // namespace bitstill
