#include "bitstill/base/json.hpp"

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// The library's message without its own "[json.exception...] " in front.
std::string plain_reason(const std::string& what) {
  const auto end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where, ExitCode code) {
  constexpr int kMostLevels = 64;
  const auto bounded = [&](int depth, Json::parse_event_t event, const Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= kMostLevels) {
      throw Error(code, concat(where, ": JSON is nested deeper than ", kMostLevels, " levels"));
    }
    return true;
  };
  // The library takes a NUL for the end of the text and would not look at what follows.
  if (const auto nul = text.find('\0'); nul != std::string::npos) {
    throw Error(code, concat(where, ": not valid JSON: a NUL character at byte ", nul));
  }
  try {
    return Json::parse(text, bounded);
  } catch (const Json::exception& error) {
    throw Error(code, concat(where, ": not valid JSON: ", plain_reason(error.what())));
  }
}

}  // namespace bitstill
