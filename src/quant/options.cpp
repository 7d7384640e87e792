#include "bitstill/quant/options.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <sstream>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostPoints = 256;

[[noreturn]] void refuse(const std::string& key, const std::string& value,
                         const std::string& allowed) {
  throw Error(ExitCode::settings, concat("quant.", key, " is ", value, " but must be ", allowed));
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
  return o.method == QuantMethod::points || o.method == QuantMethod::joint ||
         o.method == QuantMethod::kmeans;
}

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

template <class Value>
void read(const Json& json, const char* name, Value& member) {
  if constexpr (Worded<Value>) {
    member = from_word<Value>(json.get<std::string>(), concat("quant.", name));
  } else {
    member = json.get<Value>();
  }
}

int64_t elements_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

void check(const QuantOptions& o) {
  check_number("bits", o.bits, o.bits >= 1 && o.bits <= 8, "1 to 8");
  check_number("points", o.points, o.points == 0 || (o.points >= 2 && o.points <= kMostPoints),
               "0 (2^bits) or 2 to 256");
  check_number("bucket", o.bucket, o.bucket >= 0,
               "0 (one bucket a tensor) or the values of a bucket");
  if (!(o.clip >= 0)) refuse("clip", std::to_string(o.clip), "0 (no clipping) or the bound");
  if (!(o.rate >= 0)) refuse("rate", std::to_string(o.rate), "0 (the method's own) or a rate");
  for (const Rule& rule : parse_rules(o.rules)) {
    const bool fits_lsq =
        rule.points == 0 ||
        (rule.points >= 4 && std::has_single_bit(static_cast<uint64_t>(rule.points)));
    if (o.method == QuantMethod::lsq && !fits_lsq)
      refuse("rules", o.rules, "none or 2 to 8 bits with lsq");
  }

  const auto only = [&](bool good, const std::string& key, const std::string& value,
                        const std::string& with) {
    if (!good) refuse(key, value, concat(with, " with quant.method = ", o.method));
  };
  const bool uniform = o.method == QuantMethod::uniform || o.method == QuantMethod::none;
  only(uniform || o.scaling == Scaling::linear, "scaling", word(o.scaling), "linear");
  only(uniform || o.rounding == Rounding::nearest, "rounding", word(o.rounding), "nearest");
  only(uniform || o.gradient == QuantGradient::straight_through, "gradient", word(o.gradient),
       "straight-through");
  only(o.method != QuantMethod::lsq || o.bits >= 2, "bits", std::to_string(o.bits), "2 to 8");
  only(o.method != QuantMethod::lsq || o.points == 0, "points", std::to_string(o.points), "0");
  only(o.method != QuantMethod::lsq || (o.range == BucketRange::minmax && o.clip == 0 &&
                                        !o.subtract_mean && o.scales == ScaleType::fp32),
       "range, clip, subtract_mean or scales", "given", "left alone (lsq learns its step)");
  only(o.method == QuantMethod::points || o.alternate == Alternate::off, "alternate",
       word(o.alternate), "off");
  only(has_learned_points(o) || o.redistribute == Redistribute::off, "redistribute",
       word(o.redistribute), "off");
  if (o.scaling == Scaling::linear) {
    const bool plain = o.range == BucketRange::minmax && o.clip == 0 && !o.subtract_mean &&
                       o.scales == ScaleType::fp32;
    if (o.gradient == QuantGradient::range && !plain) {
      refuse("gradient", "range", "straight-through unless range, clip, mean and scales are plain");
    }
    return;
  }
  const std::string scaling = word(o.scaling);
  if (o.points == 0 && o.bits < 2) refuse("bits", "1", "2 to 8 with quant.scaling = " + scaling);
  if (o.points != 0) refuse("points", std::to_string(o.points), "0 with scaling " + scaling);
  if (o.range != BucketRange::minmax)
    refuse("range", word(o.range), "minmax with quant.scaling = " + scaling);
  if (o.gradient == QuantGradient::range)
    refuse("gradient", "range", "another with scaling " + scaling);
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
      if (json.contains(name)) read(json.at(name), name, member);
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
  if (options.method == QuantMethod::points) return {false, false, true};
  if (options.method == QuantMethod::kmeans) return {false, true, true};
  return {true, true, options.method == QuantMethod::joint || options.method == QuantMethod::lsq};
}

int64_t points_of(const QuantOptions& options, const std::string& name,
                  const std::vector<int64_t>& shape) {
  if (options.method == QuantMethod::none) return 0;
  const int64_t count = elements_of(shape);
  int64_t points = options.points > 0 ? options.points : int64_t{1} << options.bits;
  const auto rules = parse_rules(options.rules);
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& r) {
    return fits(r.pattern.c_str(), name.c_str());
  });
  if (rule != rules.end()) points = rule->points;
  if (points == 0) return 0;
  if (options.scaling != Scaling::linear) points -= 1 - points % 2;  // signed: zero has one code
  if (has_learned_points(options)) points = std::min(points, count / 2);
  if (points < 2) return 0;
  return formula_bits(options, shape, points) < 32 * count ? points : 0;
}

int64_t bucket_of(const QuantOptions& options, const std::vector<int64_t>& shape) {
  const int64_t count = elements_of(shape);
  const bool whole = options.method == QuantMethod::lsq ? options.step_size == StepSize::tensor
                                                        : options.bucket == 0;
  if (whole) return std::max<int64_t>(count, 1);
  if (options.method == QuantMethod::lsq && options.step_size == StepSize::channel) {
    return std::max<int64_t>(shape.empty() ? 1 : count / std::max<int64_t>(shape[0], 1), 1);
  }
  return options.bucket > 0 ? options.bucket : std::max<int64_t>(count, 1);
}

int64_t formula_bits(const QuantOptions& options, const std::vector<int64_t>& shape,
                     int64_t points) {
  const int64_t count = elements_of(shape);
  const int64_t buckets = divide_up(count, bucket_of(options, shape));
  const bool one_scale = options.method == QuantMethod::lsq || options.scaling != Scaling::linear;
  const int64_t scale_bits = options.scales == ScaleType::fp32 ? 32 : 16;
  const auto code_bits = static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(points - 1)));
  return code_bits * count + (one_scale ? 1 : 2) * scale_bits * buckets +
         (has_learned_points(options) ? 32 * points : 0);
}

}  // namespace bitstill
