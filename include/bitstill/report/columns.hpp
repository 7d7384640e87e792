// Tables for a terminal.
#pragma once

#include <string>
#include <vector>

namespace bitstill {

/// Control characters as '?': a name from outside must not act on a terminal.
std::string printable(std::string text);

/// One line a row, all with as many cells, two spaces between columns. The first `left` columns
/// stand left, the others right. The cells are made printable.
std::string aligned(std::vector<std::vector<std::string>> rows, std::size_t left);

}  // namespace bitstill
