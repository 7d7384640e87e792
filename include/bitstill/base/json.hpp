// JSON for the whole program: the one place that names the library.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bitstill/base/error.hpp"
#include "bitstill/base/words.hpp"

namespace bitstill {

/// Keeps the order in which keys were written, so files compare byte for byte.
using Json = nlohmann::ordered_json;

/// Enums of words are written as such, not as numbers.
template <Worded Enum>
void to_json(Json& json, Enum value) {
  json = word(value);
}

/// Parses `text`; on a syntax error throws Error(code) that names `where` and the position.
/// Refused as well: nesting deeper than 64 levels, more than 4 million values, and objects of more
/// members than can be told apart in a moment (11,000 in one).
Json parse_json(const std::string& text, const std::string& where, ExitCode code);

}  // namespace bitstill
