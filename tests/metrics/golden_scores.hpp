// What sacrebleu says of made sentences, as golden_scores.py wrote it down.
#pragma once

#include <filesystem>
#include <string>

#include "bitstill/base/file.hpp"
#include "bitstill/base/json.hpp"

namespace bitstill {

inline Json golden_scores() {
  const auto folder = std::filesystem::path(__FILE__).parent_path();
  const std::string path = (folder / "golden_scores.json").string();
  return parse_json(read_file(path, ExitCode::data), path, ExitCode::data);
}

inline std::string text_of(const Json& json, const char* name) {
  return json[name].get<std::string>();
}

/// The counts of a group's sentences, added up.
template <class Counts, class Count>
Counts counts_of_group(const Json& group, const Count& count) {
  Counts sum;
  for (const Json& pair : group["pairs"]) {
    sum += count(text_of(pair, "hypothesis"), text_of(pair, "reference"));
  }
  return sum;
}

}  // namespace bitstill
