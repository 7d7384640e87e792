// NetworkSpec as JSON, and its bounds: model files from strangers are data.
#include <cmath>

#include "bitstill/base/text.hpp"
#include "bitstill/model/registry.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostWidth = 65536;
constexpr int64_t kMostKernel = 63;
constexpr std::size_t kMostLayers = 1000;
constexpr double kMostWidthFactor = 32;
constexpr int64_t kMostPieces = int64_t{1} << 24;

struct Source {
  const std::string& where;
  ExitCode code;
};

[[noreturn]] void refuse(const Source& place, const std::string& what) {
  throw Error(place.code, place.where + what);
}

template <class Value>
void check_value(const Source& place, const std::string& name, Value value, Value low, Value high) {
  if (!(value >= low && value <= high)) {  // also refuses NaN
    refuse(place, concat(".", name, " = ", value, " is not in ", low, "..", high));
  }
}

template <class Value>
void check_list(const Source& place, const char* name, const std::vector<Value>& values, Value low,
                Value high) {
  if (values.size() > kMostLayers) {
    refuse(place, concat(".", name, " has ", values.size(), " entries, at most ", kMostLayers));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    check_value(place, concat(name, "[", i, "]"), values[i], low, high);
  }
}

const Json& member(const Json& json, const char* name, const Source& place) {
  const auto found = json.find(name);
  if (found == json.end()) refuse(place, concat(".", name, " is missing"));
  return *found;
}

int64_t integer(const Json& json, const std::string& name, const Source& place) {
  // As double first: an unsigned number above 2^63 would wrap.
  if (!json.is_number_integer() || std::fabs(json.get<double>()) > 1e15) {
    refuse(place, concat(".", name, " is not an integer of sensible size"));
  }
  return json.get<int64_t>();
}

const Json& array(const Json& json, const char* name, const Source& place) {
  const Json& list = member(json, name, place);
  if (!list.is_array() || list.size() > kMostLayers) {
    refuse(place, concat(".", name, " is not a list of at most ", kMostLayers, " numbers"));
  }
  return list;
}

std::vector<int64_t> integers(const Json& json, const char* name, const Source& place) {
  std::vector<int64_t> values;
  for (const Json& value : array(json, name, place)) {
    values.push_back(integer(value, concat(name, "[", values.size(), "]"), place));
  }
  return values;
}

std::vector<double> numbers(const Json& json, const char* name, const Source& place) {
  std::vector<double> values;
  for (const Json& value : array(json, name, place)) {
    if (!value.is_number()) refuse(place, concat(".", name, " holds something not a number"));
    values.push_back(value.get<double>());
  }
  return values;
}

void read(const Json& json, const char* name, const Source& place, std::vector<int64_t>& to) {
  to = integers(json, name, place);
}

void read(const Json& json, const char* name, const Source& place, int64_t& to) {
  to = integer(member(json, name, place), name, place);
}

void read(const Json& json, const char* name, const Source& place, double& to) {
  const Json& value = member(json, name, place);
  if (!value.is_number()) refuse(place, concat(".", name, " is not a number"));
  to = value.get<double>();
}

void read(const Json& json, const char* name, const Source& place, bool& to) {
  const Json& value = member(json, name, place);
  if (!value.is_boolean()) refuse(place, concat(".", name, " is neither true nor false"));
  to = value.get<bool>();
}

template <class Choice>
requires std::is_enum_v<Choice>
void read(const Json& json, const char* name, const Source& place, Choice& to) {
  const Json& value = member(json, name, place);
  if (!value.is_string() || !has_word<Choice>(value.get_ref<const std::string&>())) {
    refuse(place, concat(".", name, " is none of ", list_names(words_of<Choice>())));
  }
  to = from_word<Choice>(value.get<std::string>(), name);
}

/// The options of the kind's family, of a kind that is known.
template <class Spec, class Visit>
void visit_layers(Spec& spec, const Visit& visit) {
  switch (find_family(spec.kind)->options) {
    case FamilyOptions::convnet:
      return visit_settings(options_of<ConvnetOptions>(spec), visit);
    case FamilyOptions::residual:
      return visit_settings(options_of<ResidualOptions>(spec), visit);
    case FamilyOptions::recurrent:
      visit_settings(options_of<SentenceOptions>(spec), visit);
      return visit_settings(options_of<RecurrentOptions>(spec), visit);
    case FamilyOptions::transformer:
      visit_settings(options_of<SentenceOptions>(spec), visit);
      return visit_settings(options_of<TransformerOptions>(spec), visit);
  }
}

/// What a network of sentences has instead of an input.
template <class Spec, class Visit>
void visit_sentences(Spec& spec, const Visit& visit) {
  visit("source_pieces", spec.source_pieces);
  visit("begin", spec.ends.begin);
  visit("end", spec.ends.end);
}

void check_sentences(const NetworkSpec& spec, const Source& place) {
  check_value<int64_t>(place, "classes", spec.classes, 1, kMostPieces);
  check_value<int64_t>(place, "source_pieces", spec.source_pieces, 1, kMostPieces);
  check_value<int64_t>(place, "begin", spec.ends.begin, 0, spec.classes - 1);
  check_value<int64_t>(place, "end", spec.ends.end, 0, spec.classes - 1);
  check_value<int64_t>(place, "layers", spec.layers, 1, kMostLayers);
  check_value<int64_t>(place, "size", spec.size, 1, kMostWidth);
  check_value<int64_t>(place, "decoder_layers", spec.decoder_layers, 0, kMostLayers);
  check_value<int64_t>(place, "heads", spec.heads, 1, kMostWidth);
  check_value<int64_t>(place, "filter", spec.filter, 0, kMostWidth);
}

void check_images(const NetworkSpec& spec, const Source& place) {
  check_value<int64_t>(place, "classes", spec.classes, 1, kMostWidth);
  check_list<int64_t>(place, "input", {spec.input.channels, spec.input.height, spec.input.width}, 1,
                      4096);
}

}  // namespace

void check_ranges(const NetworkSpec& spec, const std::string& where, ExitCode code) {
  const Source place{where, code};
  of_sentences(spec) ? check_sentences(spec, place) : check_images(spec, place);
  check_list<int64_t>(place, "widths", spec.widths, 1, kMostWidth);
  check_list<int64_t>(place, "kernels", spec.kernels, 1, kMostKernel);
  check_list<int64_t>(place, "pools", spec.pools, 1, kMostLayers);
  check_list<int64_t>(place, "hidden", spec.hidden, 1, kMostWidth);
  check_list<double>(place, "dropout", spec.dropout, 0.0, 0.99);
  check_value<int64_t>(place, "depth", spec.depth, 0, kMostLayers);
  check_value(place, "width_factor", spec.width_factor, 0.0, kMostWidthFactor);
  if (spec.widths.size() + spec.hidden.size() > kMostLayers) {
    refuse(place, concat(" has more than ", kMostLayers, " layers"));
  }
  for (const int64_t kernel : spec.kernels) {
    if (kernel % 2 == 0) {
      refuse(place, concat(".kernels: ", kernel, " is even; same padding needs odd kernels"));
    }
  }
}

Json to_json(const NetworkSpec& spec) {
  Json json = {{"kind", spec.kind}};
  if (of_sentences(spec)) {
    visit_sentences(spec, [&](const char* name, int64_t value) { json[name] = value; });
  } else {
    json["input"] = to_json(spec.input);
  }
  json["classes"] = spec.classes;
  visit_layers(spec, [&](const char* name, const auto& value, const char*) { json[name] = value; });
  json["dropout"] = spec.dropout;
  return json;
}

NetworkSpec network_spec_from_json(const Json& json, const std::string& where, ExitCode code) {
  const Source place{where, code};
  if (!json.is_object()) refuse(place, ": the network is not an object");
  const Json& kind = member(json, "kind", place);
  if (!kind.is_string() || kind.get_ref<const std::string&>().size() > 64) {
    refuse(place, ".kind is not a short text");
  }
  NetworkSpec spec;
  spec.kind = kind.get<std::string>();
  if (find_family(spec.kind) == nullptr) {
    refuse(place, concat(".kind: ", spec.kind, " is unknown to this version"));
  }
  if (of_sentences(spec)) {
    visit_sentences(spec, [&](const char* name, int64_t& to) { read(json, name, place, to); });
  } else {
    spec.input = image_shape_from_json(member(json, "input", place), where + ".input", code);
  }
  spec.classes = integer(member(json, "classes", place), "classes", place);
  visit_layers(spec,
               [&](const char* name, auto& value, const char*) { read(json, name, place, value); });
  spec.dropout = numbers(json, "dropout", place);
  check_ranges(spec, where, code);
  return spec;
}

}  // namespace bitstill
