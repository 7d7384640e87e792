#include "bitstill/scale/profile.hpp"

#include <algorithm>
#include <cmath>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int kFormat = 1;
constexpr uint64_t kMostBytes = 16 << 20;

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ExitCode::settings, concat(where, ": ", what, "; write it by bench step --profile"));
}

/// Reads members of one object, each of which has to be there.
class Members {
 public:
  Members(const Json& json, const std::string& where) : json_(json), where_(where) {
    if (!json.is_object()) refuse(where, "is no profile of a step");
  }
  const Json& at(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end()) refuse(where_, concat("has no ", name));
    return *found;
  }
  int64_t count(const char* name, int64_t least = 0) const {
    const Json& value = at(name);
    if (!value.is_number_integer() || value.get<int64_t>() < least) {
      refuse(where_, concat(name, " is no number of ", least, " or more"));
    }
    return value.get<int64_t>();
  }
  bool flag(const char* name) const {
    const Json& value = at(name);
    if (!value.is_boolean()) refuse(where_, concat(name, " is neither true nor false"));
    return value.get<bool>();
  }
  double seconds(const char* name) const {
    const Json& value = at(name);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0) {
      refuse(where_, concat(name, " is no time in seconds"));
    }
    return value.get<double>();
  }
  const Json& list(const char* name) const {
    const Json& value = at(name);
    if (!value.is_array()) refuse(where_, concat(name, " is no list"));
    return value;
  }

 private:
  const Json& json_;
  const std::string& where_;
};

Json to_json(const UnitProfile& unit) {
  Json ranges = Json::array();
  for (const Range& range : unit.gradients) ranges.push_back({range.offset, range.count});
  return {{"name", unit.name},
          {"forward_s", unit.forward_s},
          {"backward_s", unit.backward_s},
          {"gradients", ranges}};
}

UnitProfile unit_from_json(const Json& json, const std::string& where) {
  const Members members(json, where);
  UnitProfile unit;
  if (!members.at("name").is_string()) refuse(where, "a unit's name is no text");
  unit.name = json["name"].get<std::string>();
  unit.forward_s = members.seconds("forward_s");
  unit.backward_s = members.seconds("backward_s");
  for (const Json& range : members.list("gradients")) {
    const bool pair = range.is_array() && range.size() == 2 && range[0].is_number_integer() &&
                      range[1].is_number_integer();
    if (!pair) refuse(where, concat("unit ", unit.name, ": a range is no [offset, count]"));
    unit.gradients.push_back({range[0].get<int64_t>(), range[1].get<int64_t>()});
  }
  return unit;
}

Json to_json(const SlicesProfile& slices) {
  Json pieces = Json::array();
  for (const GatherPiece& piece : slices.pieces) {
    pieces.push_back({{"slice_bytes", piece.slice_bytes}, {"seconds", piece.seconds}});
  }
  return {{"window_bytes", slices.window}, {"pieces", pieces}};
}

SlicesProfile slices_from_json(const Json& json, int64_t group, const std::string& where) {
  const Members members(json, where);
  SlicesProfile slices;
  slices.window = members.count("window_bytes");
  for (const Json& one : members.list("pieces")) {
    const Members piece(one, where);
    const int64_t bytes = piece.count("slice_bytes");
    slices.pieces.push_back({bytes, bytes * group, piece.seconds("seconds")});
  }
  if (slices.pieces.empty()) refuse(where, "its teacher in slices has no pieces");
  if (slices.window < least_window(slices.pieces)) {
    refuse(where, concat("window_bytes = ", slices.window, " is below the largest piece"));
  }
  return slices;
}

void require_ranges(const StepProfile& profile, const std::string& where) {
  int64_t end = 0;
  for (const Range& range : profile.segments()) {
    if (range.count < 0 || range.offset < end || range.count > profile.elements - range.offset) {
      refuse(where, concat("gradients [", range.offset, ", ", range.count,
                           "] overlap or leave the ", profile.elements, " of the buffer"));
    }
    end = range.end();
  }
}

}  // namespace

double StepProfile::forward_s() const {
  double sum = 0;
  for (const UnitProfile& unit : units) sum += unit.forward_s;
  return sum;
}

double StepProfile::backward_s() const {
  double sum = 0;
  for (const UnitProfile& unit : units) sum += unit.backward_s;
  return sum;
}

std::vector<Range> StepProfile::segments() const {
  std::vector<Range> ranges;
  for (const UnitProfile& unit : units) {
    ranges.insert(ranges.end(), unit.gradients.begin(), unit.gradients.end());
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  return ranges;
}

Json to_json(const StepProfile& profile) {
  Json units = Json::array();
  for (const UnitProfile& unit : profile.units) units.push_back(to_json(unit));
  return {{"format", kFormat},
          {"made_by", profile.made_by},
          {"elements", profile.elements},
          {"sums", profile.sums},
          {"chunk_bytes", profile.chunk_bytes},
          {"micro_batches", profile.micro_batches},
          {"fixed", profile.fixed},
          {"overlap", profile.overlap},
          {"begin_s", profile.begin_s},
          {"pass_s", profile.pass_s},
          {"update_s", profile.update_s},
          {"group", profile.group},
          {"slices", profile.group > 0 ? to_json(profile.slices) : Json()},
          {"units", units}};
}

StepProfile profile_from_json(const Json& json, const std::string& where) {
  const Members members(json, where);
  if (members.at("format") != kFormat) refuse(where, "is of another version");
  StepProfile profile;
  profile.made_by = members.at("made_by");
  profile.elements = members.count("elements", 1);
  profile.sums = members.count("sums");
  profile.chunk_bytes = members.count("chunk_bytes", 64);
  profile.micro_batches = members.count("micro_batches", 1);
  profile.fixed = members.flag("fixed");
  profile.overlap = members.flag("overlap");
  profile.begin_s = members.seconds("begin_s");
  profile.pass_s = members.seconds("pass_s");
  profile.update_s = members.seconds("update_s");
  profile.group = members.count("group");
  if (profile.group > 0) {
    profile.slices = slices_from_json(members.at("slices"), profile.group, where);
  }
  for (const Json& unit : members.list("units")) {
    profile.units.push_back(unit_from_json(unit, where));
  }
  if (profile.units.empty()) refuse(where, "has no units");
  require_ranges(profile, where);
  return profile;
}

StepProfile read_profile(const std::string& path) {
  return profile_from_json(
      parse_json(read_file(path, ExitCode::settings, kMostBytes), path, ExitCode::settings), path);
}

}  // namespace bitstill
