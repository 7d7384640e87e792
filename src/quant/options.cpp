#include "bitstill/quant/options.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <sstream>
#include <type_traits>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostPoints = 256;

[[noreturn]] void refuse(const std::string& key, const std::string& value,
                         const std::string& allowed) {
  throw Error(ExitCode::settings, concat("quant.", key, " is ", value, " but must be ", allowed));
}

void check_word(const std::string& key, const std::string& value,
                const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  refuse(key, "'" + value + "'", "one of: " + list_names(allowed));
}

void check_number(const std::string& key, int64_t value, bool good, const std::string& allowed) {
  if (!good) refuse(key, std::to_string(value), allowed);
}

struct Rule {
  std::string pattern;
  int64_t points = 0;
};

int64_t points_of_rule(const std::string& value) {
  if (value == "none") return 0;
  const bool digits = !value.empty() && value.find_first_not_of("0123456789") >= value.size() - 1;
  const int64_t number = digits && value.size() <= 4 ? std::atoll(value.c_str()) : 0;
  if (digits && value.back() == 'p' && number >= 2 && number <= kMostPoints) return number;
  if (digits && value.back() != 'p' && number >= 1 && number <= 8) return int64_t{1} << number;
  refuse("rules", "'..:" + value + "'", "PATTERN:VALUE,... with none, 1..8 (bits) or 2p..256p");
}

std::vector<Rule> parse_rules(const std::string& text) {
  std::vector<Rule> rules;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const auto colon = item.rfind(':');
    if (colon == std::string::npos || colon == 0)
      refuse("rules", "'" + item + "'", "PATTERN:VALUE");
    rules.push_back({item.substr(0, colon), points_of_rule(item.substr(colon + 1))});
  }
  return rules;
}

/// Whether `name` fits `pattern`, in which * stands for any text.
bool fits(const char* pattern, const char* name) {
  if (*pattern == '\0') return *name == '\0';
  if (*pattern == '*') return fits(pattern + 1, name) || (*name != '\0' && fits(pattern, name + 1));
  return *pattern == *name && fits(pattern + 1, name + 1);
}

bool has_learned_points(const QuantOptions& o) {
  return o.method == "points" || o.method == "joint" || o.method == "kmeans";
}

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t elements_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

void check(const QuantOptions& o) {
  check_word("method", o.method, {"none", "uniform", "points", "joint", "lsq", "kmeans"});
  check_number("bits", o.bits, o.bits >= 1 && o.bits <= 8, "1 to 8");
  check_number("points", o.points, o.points == 0 || (o.points >= 2 && o.points <= kMostPoints),
               "0 (2^bits) or 2 to 256");
  check_number("bucket", o.bucket, o.bucket >= 0,
               "0 (one bucket a tensor) or the values of a bucket");
  check_word("scaling", o.scaling, {"linear", "absmax", "absnorm"});
  check_word("range", o.range, {"minmax", "error"});
  if (!(o.clip >= 0)) refuse("clip", std::to_string(o.clip), "0 (no clipping) or the bound");
  check_word("rounding", o.rounding, {"nearest", "stochastic"});
  check_word("scales", o.scales, {"fp32", "fp16", "bf16"});
  check_word("gradient", o.gradient, {"straight-through", "truncated", "range"});
  check_word("tensors", o.tensors, {"weights", "all"});
  check_word("start", o.start, {"auto", "quantiles", "uniform", "kmeans"});
  check_word("optimizer", o.optimizer, {"auto", "adam", "scaled", "sgd"});
  if (!(o.rate >= 0)) refuse("rate", std::to_string(o.rate), "0 (the method's own) or a rate");
  check_word("step_size", o.step_size, {"tensor", "channel", "bucket"});
  check_word("redistribute", o.redistribute, {"off", "points", "bytes"});
  check_word("alternate", o.alternate, {"off", "keep", "reference"});
  for (const Rule& rule : parse_rules(o.rules)) {
    const bool fits_lsq =
        rule.points == 0 ||
        (rule.points >= 4 && std::has_single_bit(static_cast<uint64_t>(rule.points)));
    if (o.method == "lsq" && !fits_lsq) refuse("rules", o.rules, "none or 2 to 8 bits with lsq");
  }

  const auto only = [&](bool good, const std::string& key, const std::string& value,
                        const std::string& with) {
    if (!good) refuse(key, value, with + " with quant.method = " + o.method);
  };
  const bool uniform = o.method == "uniform" || o.method == "none";
  only(uniform || o.scaling == "linear", "scaling", o.scaling, "linear");
  only(uniform || o.rounding == "nearest", "rounding", o.rounding, "nearest");
  only(uniform || o.gradient == "straight-through", "gradient", o.gradient, "straight-through");
  only(o.method != "lsq" || o.bits >= 2, "bits", std::to_string(o.bits), "2 to 8");
  only(o.method != "lsq" || o.points == 0, "points", std::to_string(o.points), "0");
  only(o.method != "lsq" ||
           (o.range == "minmax" && o.clip == 0 && !o.subtract_mean && o.scales == "fp32"),
       "range, clip, subtract_mean or scales", "given", "left alone (lsq learns its step)");
  only(o.method == "points" || o.alternate == "off", "alternate", o.alternate, "off");
  only(has_learned_points(o) || o.redistribute == "off", "redistribute", o.redistribute, "off");
  if (o.scaling == "linear") {
    const bool plain = o.range == "minmax" && o.clip == 0 && !o.subtract_mean && o.scales == "fp32";
    if (o.gradient == "range" && !plain) {
      refuse("gradient", "range", "straight-through unless range, clip, mean and scales are plain");
    }
    return;
  }
  if (o.points == 0 && o.bits < 2) refuse("bits", "1", "2 to 8 with quant.scaling = " + o.scaling);
  if (o.points != 0) refuse("points", std::to_string(o.points), "0 with scaling " + o.scaling);
  if (o.range != "minmax") refuse("range", o.range, "minmax with quant.scaling = " + o.scaling);
  if (o.gradient == "range") refuse("gradient", "range", "another with scaling " + o.scaling);
}

Json to_json(const QuantOptions& options) {
  Json json;
  visit_settings(options,
                 [&](const char* name, const auto& member, const char*) { json[name] = member; });
  return json;
}

QuantOptions quant_options_from_json(const Json& json, const std::string& where) {
  QuantOptions options;
  try {
    visit_settings(options, [&](const char* name, auto& member, const char*) {
      if (json.contains(name)) member = json.at(name).get<std::decay_t<decltype(member)>>();
    });
    check(options);
  } catch (const std::exception& error) {
    throw Error(ExitCode::model, concat(where,
                                        ": its quantizer is not described as this version "
                                        "of bitstill does: ",
                                        error.what()));
  }
  return options;
}

Trained trained_by(const QuantOptions& options) {
  if (options.method == "points") return {false, false, true};
  if (options.method == "kmeans") return {false, true, true};
  return {true, true, options.method == "joint" || options.method == "lsq"};
}

int64_t points_of(const QuantOptions& options, const std::string& name,
                  const std::vector<int64_t>& shape) {
  if (options.method == "none") return 0;
  const int64_t count = elements_of(shape);
  int64_t points = options.points > 0 ? options.points : int64_t{1} << options.bits;
  const auto rules = parse_rules(options.rules);
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& r) {
    return fits(r.pattern.c_str(), name.c_str());
  });
  if (rule != rules.end()) points = rule->points;
  if (points == 0) return 0;
  if (options.scaling != "linear") points -= 1 - points % 2;  // signed: zero has one code
  if (has_learned_points(options)) points = std::min(points, count / 2);
  if (points < 2) return 0;
  return formula_bits(options, shape, points) < 32 * count ? points : 0;
}

int64_t bucket_of(const QuantOptions& options, const std::vector<int64_t>& shape) {
  const int64_t count = elements_of(shape);
  const bool whole = options.method == "lsq" ? options.step_size == "tensor" : options.bucket == 0;
  if (whole) return std::max<int64_t>(count, 1);
  if (options.method == "lsq" && options.step_size == "channel") {
    return std::max<int64_t>(shape.empty() ? 1 : count / std::max<int64_t>(shape[0], 1), 1);
  }
  return options.bucket > 0 ? options.bucket : std::max<int64_t>(count, 1);
}

int64_t formula_bits(const QuantOptions& options, const std::vector<int64_t>& shape,
                     int64_t points) {
  const int64_t count = elements_of(shape);
  const int64_t buckets = divide_up(count, bucket_of(options, shape));
  const bool one_scale = options.method == "lsq" || options.scaling != "linear";
  const int64_t scale_bits = options.scales == "fp32" ? 32 : 16;
  const auto code_bits = static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(points - 1)));
  return code_bits * count + (one_scale ? 1 : 2) * scale_bits * buckets +
         (has_learned_points(options) ? 32 * points : 0);
}

}  // namespace bitstill
