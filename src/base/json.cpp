#include "bitstill/base/json.hpp"

#include <array>
#include <cstdint>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// The library's message without its own "[json.exception...] " in front.
std::string plain_reason(const std::string& what) {
  const auto end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

/// Refuses, while a text is read, what would take more memory, stack or time than files of this
/// program do: they come from strangers.
class Bounds {
 public:
  Bounds(const std::string& where, ExitCode code) : where_(where), code_(code) {}

  void take(int depth, Json::parse_event_t event) {
    using Event = Json::parse_event_t;
    const bool object = event == Event::object_start;
    const auto level = static_cast<std::size_t>(depth);
    if (object || event == Event::array_start) {
      if (level >= kMostLevels) refuse("is nested deeper than ", kMostLevels, " levels");
      members_[level + 1] = 0;
    }
    if (object || event == Event::array_start || event == Event::value) {
      if (++values_ > kMostValues) refuse("holds more than ", kMostValues, " values");
    }
    if (event == Event::key) {
      // Objects that keep their order look at all members before they take another.
      compared_ += members_[level]++;
      if (compared_ > kMostCompared) refuse("has objects of too many members", "", "");
    }
  }

 private:
  static constexpr std::size_t kMostLevels = 64;
  static constexpr int64_t kMostValues = 1 << 22;
  static constexpr int64_t kMostCompared = 1 << 26;  // an object of 11,000 members

  template <class Number>
  [[noreturn]] void refuse(const char* what, const Number& most, const char* unit) const {
    throw Error(code_, concat(where_, ": JSON ", what, most, unit));
  }

  const std::string& where_;
  ExitCode code_;
  std::array<int64_t, kMostLevels + 1> members_{};  // so far, of the object at each level
  int64_t values_ = 0, compared_ = 0;
};

}  // namespace

Json parse_json(const std::string& text, const std::string& where, ExitCode code) {
  Bounds bounds(where, code);
  const auto bounded = [&](int depth, Json::parse_event_t event, const Json&) {
    bounds.take(depth, event);
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
