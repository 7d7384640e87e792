#include "bitstill/data/image_shape.hpp"

#include <charconv>
#include <cmath>
#include <string>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

const Json& member(const Json& json, const char* name, const std::string& where, ExitCode code) {
  if (!json.is_object() || !json.contains(name)) {
    throw Error(code, concat(where, ": \"", name, "\" is missing"));
  }
  return json[name];
}

int64_t side(const Json& json, const char* name, int64_t most, const std::string& where,
             ExitCode code) {
  const Json& value = member(json, name, where, code);
  // Unsigned numbers past the signed range would wrap around: a double keeps their size.
  if (!value.is_number_integer() || value.get<double>() < 1 ||
      value.get<double>() > static_cast<double>(most)) {
    throw Error(code, concat(where, ": \"", name, "\" is not a whole number from 1 to ", most));
  }
  return value.get<int64_t>();
}

std::vector<float> numbers(const Json& json, const char* name, bool positive,
                           const std::string& where, ExitCode code) {
  const Json& values = member(json, name, where, code);
  if (!values.is_array() || values.empty() || values.size() > 64) {
    throw Error(code, concat(where, ": \"", name, "\" is not a list of 1 to 64 numbers"));
  }
  std::vector<float> result;
  for (const Json& value : values) {
    const float number = value.is_number() ? value.get<float>() : std::nanf("");
    if (!std::isfinite(number) || (positive && !(number > 0))) {
      throw Error(code, concat(where, ": \"", name, "\" holds ", value.dump(), ", not a finite ",
                               positive ? "positive " : "", "number"));
    }
    result.push_back(number);
  }
  return result;
}

/// The shortest text that reads back as the same float.
std::string list_text(const std::vector<float>& values) {
  std::string text;
  for (const float value : values) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    text += (text.empty() ? "" : ",") + std::string(buffer, end);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

Json to_json(const ImageShape& shape) {
  return {{"channels", shape.channels}, {"height", shape.height}, {"width", shape.width}};
}

Json to_json(const Normalization& normalization) {
  return {{"mean", normalization.mean}, {"deviation", normalization.deviation}};
}

ImageShape image_shape_from_json(const Json& json, const std::string& where, ExitCode code) {
  return {side(json, "channels", 64, where, code), side(json, "height", 4096, where, code),
          side(json, "width", 4096, where, code)};
}

Normalization normalization_from_json(const Json& json, const std::string& where, ExitCode code,
                                      const char* deviation) {
  Normalization result{numbers(json, "mean", false, where, code),
                       numbers(json, deviation, true, where, code)};
  if (result.mean.size() != result.deviation.size()) {
    throw Error(code, concat(where, ": ", result.mean.size(), " means but ",
                             result.deviation.size(), " deviations"));
  }
  return result;
}

std::string to_text(const Normalization& normalization) {
  return concat("mean ", list_text(normalization.mean), " and std ",
                list_text(normalization.deviation));
}

}  // namespace bitstill
