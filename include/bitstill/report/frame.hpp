// What every page has: the document around it, its head line, its tiles.
#pragma once

#include <string>
#include <vector>

namespace bitstill {

/// The whole document: no scripts, no links, light and dark. `body` is markup, `title` text.
std::string page_frame(const std::string& title, const std::string& body);

/// "bitstill COMMAND" above the title, `about` below it; all text.
std::string page_header(const std::string& command, const std::string& title,
                        const std::string& about);

/// What a reader of the figures should know, text each; empty without any.
std::string notes_list(const std::vector<std::string>& notes);

/// One number of a <dl class="tiles">, a line of text below it; empty for the value "-".
std::string tile(const std::string& name, const std::string& value, const std::string& below);

}  // namespace bitstill
