// Small text helpers for messages.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace bitstill {

/// The arguments written one after the other: concat("row ", 3, " of ", path).
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// "a, b and c"; past `most` names the rest is counted: "a, b and 7 more".
std::string list_names(const std::vector<std::string>& names, std::size_t most = 8);

/// The entry of `known` with the smallest edit distance to `word`; empty when none is near
/// (distance above a third of the word's length, at least 2).
std::string nearest_name(const std::string& word, const std::vector<std::string>& known);

/// "12.3 MB" (powers of 1000).
std::string human_bytes(double bytes);

}  // namespace bitstill
