#include "packed_layout.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>

#include "bitstill/base/text.hpp"
#include "bitstill/codec/rans.hpp"

namespace bitstill {
namespace {

constexpr std::array<const char*, 4> kForms = {"uniform", "signed", "integers", "stored"};
constexpr std::array<const char*, 3> kBuckets = {"values", "tensor", "channel"};
constexpr std::size_t kMostDimensions = 32;
constexpr uint64_t kMostValues = uint64_t{1} << 48;  // of a file; sums of a few never overflow

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ExitCode::model, concat(where, ": its description ", what, "; write the file again"));
}

const Json& member(const Json& json, const std::string& where, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end()) refuse(where, concat("lacks \"", key, "\""));
  return *found;
}

uint64_t whole_number(const Json& json, const std::string& where, const char* key, uint64_t least,
                      uint64_t most) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() < least || json.get<uint64_t>() > most) {
    refuse(where, concat("has a \"", key, "\" that is not a number from ", least, " to ", most));
  }
  return json.get<uint64_t>();
}

template <std::size_t kCount>
std::size_t word_of(const Json& json, const std::string& where, const char* key,
                    const std::array<const char*, kCount>& words) {
  for (std::size_t i = 0; json.is_string() && i < kCount; ++i) {
    if (json.get_ref<const std::string&>() == words[i]) return i;
  }
  refuse(where, concat("has a \"", key, "\" that this version of bitstill does not know"));
}

Json to_json(const std::vector<Member>& members) {
  Json list = Json::array();
  for (const Member& one : members) list.push_back(Json::array({one.name, one.shape}));
  return list;
}

std::vector<Member> members_from_json(const Json& json, const std::string& where) {
  if (!json.is_array()) refuse(where, "does not list its tensors");
  std::vector<Member> members;
  for (const Json& pair : json) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_array() ||
        pair[1].size() > kMostDimensions) {
      refuse(where, "lists a tensor that is not a name and a shape");
    }
    Member one;
    one.name = pair[0].get<std::string>();
    for (const Json& size : pair[1]) {
      one.shape.push_back(static_cast<int64_t>(whole_number(size, where, "shape", 0, kMostValues)));
    }
    const auto count = elements(one.shape);
    if (!count || *count > kMostValues) {
      refuse(where, concat("gives tensor ", one.name.substr(0, 200), " an impossible shape"));
    }
    one.count = *count;
    members.push_back(std::move(one));
  }
  return members;
}

Group group_from_json(const Json& json, const std::string& where) {
  Group group;
  GroupKind& kind = group.kind;
  kind.form =
      static_cast<PointForm>(word_of(member(json, where, "points"), where, "points", kForms));
  kind.points = whole_number(member(json, where, "s"), where, "s", 1, 256);
  if (kind.form != PointForm::stored && points_of(kind.form, kind.points).empty()) {
    refuse(where, concat("has ", kind.points, " points of a form that has none of so many"));
  }
  const Json& bucket = member(json, where, "bucket");
  if (bucket.is_number()) {
    kind.bucket = static_cast<int64_t>(whole_number(bucket, where, "bucket", 1, kMostValues));
  } else {
    kind.bucket_form = static_cast<BucketForm>(word_of(bucket, where, "bucket", kBuckets));
  }
  constexpr std::array<const char*, 3> kTypes = {"F32", "F16", "BF16"};
  constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f16, Dtype::bf16};
  kind.scale_type = kDtypes[word_of(member(json, where, "scales"), where, "scales", kTypes)];
  const Json& beta = member(json, where, "beta");
  if (!beta.is_boolean()) refuse(where, "has a \"beta\" that is not true or false");
  kind.beta = beta.get<bool>();
  constexpr std::array<const char*, 2> kCodings = {"fixed", "rans"};
  group.coded = word_of(member(json, where, "coding"), where, "coding", kCodings) == 1;
  group.members = members_from_json(member(json, where, "tensors"), where);
  return group;
}

}  // namespace

Json to_json(const Layout& layout) {
  Json json;
  if (layout.lanes > 0) json["lanes"] = layout.lanes;
  json["groups"] = Json::array();
  for (const Group& group : layout.groups) {
    const GroupKind& kind = group.kind;
    Json bucket = kind.bucket;
    if (kind.bucket_form != BucketForm::values) {
      bucket = kBuckets[static_cast<std::size_t>(kind.bucket_form)];
    }
    json["groups"].push_back({{"points", kForms[static_cast<std::size_t>(kind.form)]},
                              {"s", kind.points},
                              {"bucket", bucket},
                              {"scales", dtype_name(kind.scale_type)},
                              {"beta", kind.beta},
                              {"coding", group.coded ? "rans" : "fixed"},
                              {"tensors", to_json(group.members)}});
  }
  if (!layout.plain.empty()) json["plain"] = to_json(layout.plain);
  return json;
}

Layout layout_from_json(const Json& json, const std::string& where) {
  Layout layout;
  const Json& groups = member(json, where, "groups");
  if (!groups.is_array()) refuse(where, "does not list its groups");
  bool coded = false;
  for (const Json& group : groups) {
    layout.groups.push_back(group_from_json(group, where));
    coded = coded || layout.groups.back().coded;
  }
  if (coded) {
    layout.lanes = static_cast<int>(
        whole_number(member(json, where, "lanes"), where, "lanes", 1, RansDecoder::kMostLanes));
  }
  if (json.contains("plain")) layout.plain = members_from_json(json["plain"], where);
  std::set<std::string> names;
  uint64_t values = 0;
  const auto add = [&](const std::vector<Member>& members) {
    for (const Member& one : members) {
      if (!names.insert(one.name).second) {
        refuse(where, concat("names tensor ", one.name.substr(0, 200), " twice"));
      }
      values += one.count;
      if (values > kMostValues) refuse(where, "declares more values than any file holds");
    }
  };
  for (const Group& group : layout.groups) add(group.members);
  add(layout.plain);
  return layout;
}

std::vector<float> points_of(PointForm form, std::size_t points) {
  std::vector<float> result;
  const std::size_t middle = (points - 1) / 2, zero = points / 2;  // of centred, of integers
  const auto half = static_cast<float>(middle);
  if (form == PointForm::stored || points < 2) return result;
  if (form == PointForm::centred && (points < 3 || points % 2 == 0)) return result;
  for (std::size_t j = 0; j < points; ++j) {
    const auto number = static_cast<float>(j);
    result.push_back(form == PointForm::uniform   ? number / static_cast<float>(points - 1)
                     : form == PointForm::centred ? (number - half) / half
                                                  : number - static_cast<float>(zero));
  }
  return result;
}

int64_t bucket_of(const GroupKind& kind, const Member& member) {
  const auto count = static_cast<int64_t>(member.count);
  if (kind.bucket_form == BucketForm::values) return kind.bucket;
  if (kind.bucket_form == BucketForm::tensor || member.shape.empty() || count == 0) {
    return std::max<int64_t>(count, 1);
  }
  return count / member.shape[0];
}

uint64_t buckets_of(const GroupKind& kind, const Member& member) {
  const auto bucket = static_cast<uint64_t>(bucket_of(kind, member));
  return member.count / bucket + (member.count % bucket == 0 ? 0 : 1);
}

uint64_t count_of(const std::vector<Member>& members) {
  uint64_t count = 0;
  for (const Member& one : members) count += one.count;
  return count;
}

int fixed_bits(std::size_t points) {
  return std::max(1, static_cast<int>(std::bit_width(points - 1)));
}

std::optional<uint64_t> elements(const std::vector<int64_t>& shape) {
  int64_t bound = 1;  // with empty dimensions as 1, so that strides fit as well
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bound, std::max<int64_t>(size, 1), &bound)) return {};
    empty = empty || size == 0;
  }
  return empty ? 0 : static_cast<uint64_t>(bound);
}

std::optional<uint16_t> narrow(float value, Dtype type) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (type == Dtype::bf16) {
    if ((bits & 0xFFFF) != 0) return {};
    return static_cast<uint16_t>(bits >> 16);
  }
  const uint32_t sign = bits >> 16 & 0x8000;
  const int exponent = static_cast<int>(bits >> 23 & 0xFF) - 127;
  const uint32_t fraction = bits & 0x7FFFFF;
  if ((bits & 0x7FFFFFFF) == 0) return static_cast<uint16_t>(sign);
  if (exponent < -24 || exponent > 15) return {};
  const int dropped = 13 + std::max(0, -14 - exponent);  // bits of the fraction, leading 1 included
  const uint32_t whole = fraction | 0x800000;
  if ((whole & ((1U << dropped) - 1)) != 0) return {};
  if (exponent < -14) return static_cast<uint16_t>(sign | whole >> dropped);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent + 15) << 10 | fraction >> 13);
}

float widen(uint16_t bits, Dtype type) {
  if (type == Dtype::bf16) return std::bit_cast<float>(uint32_t{bits} << 16);
  const uint32_t sign = uint32_t{bits} << 16 & 0x80000000, exponent = bits >> 10 & 0x1F;
  const uint32_t fraction = bits & 0x3FF;
  if (exponent == 0) {  // subnormal: a whole multiple of 2^-24
    return std::bit_cast<float>(
        sign | std::bit_cast<uint32_t>(std::ldexp(static_cast<float>(fraction), -24)));
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

}  // namespace bitstill
