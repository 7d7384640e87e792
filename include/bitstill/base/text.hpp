// Texts for messages: put together, made safe to print, counted.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace bitstill {

struct Concat {
  template <class... Parts>
  std::string operator()(const Parts&... parts) const {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
  }
};

/// The arguments written one after the other: concat("row ", 3, " of ", path). An object, since a
/// function would compete with the concat that newer JSON headers bring in with their arguments.
inline constexpr Concat concat;  // NOLINT(readability-identifier-naming): called as a function

/// A text that a stranger may have chosen, so that it can neither break a line nor move a cursor:
/// control characters, marks that reorder or hide text, and bytes that are not UTF-8 are written as
/// \n, \t, \r, \x1b or \u202e. A visible text stays as it is, also a backslash.
std::string visible(std::string_view text);

constexpr std::size_t kMostLineCharacters = 400;

/// visible(), and of what is longer than kMostLineCharacters the middle is left out: the beginning
/// says what and where, the end how to mend it.
std::string message_line(std::string_view text);

/// "a, b and c"; past `most` names the rest is counted: "a, b and 7 more".
std::string list_names(const std::vector<std::string>& names, std::size_t most = 8);

/// The entry of `known` with the smallest edit distance to `word`; empty when none is near
/// (distance above a third of the word's length, at least 2).
std::string nearest_name(const std::string& word, const std::vector<std::string>& known);

/// "12.3 MB" (powers of 1000).
std::string human_bytes(double bytes);

/// "0:07", "12:30" or "3:05:00"; "?" for what is negative or not finite.
std::string human_time(double seconds);

}  // namespace bitstill
