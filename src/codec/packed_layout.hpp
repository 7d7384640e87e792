// How a packed model's tensors are laid out: what its description says, and what follows from it.
#pragma once

#include <compare>
#include <optional>

#include "bitstill/codec/packed_model.hpp"

namespace bitstill {

constexpr std::size_t kMostAboutBytes = 1 << 20;  // of JSON; as a tree it takes some 20 times that

/// All bytes before a file's tensors. Error(model).
std::string header_bytes(const ByteSource& source, const std::string& where);

enum class PointForm { uniform, centred, integers, stored };
enum class BucketForm { values, tensor, channel };

/// What the tensors of a group have in common.
struct GroupKind {
  PointForm form = PointForm::uniform;
  std::size_t points = 2;
  BucketForm bucket_form = BucketForm::values;
  int64_t bucket = 1;  // only of BucketForm::values
  Dtype scale_type = Dtype::f32;
  bool beta = true;
  auto operator<=>(const GroupKind&) const = default;
};

struct Member {
  std::string name;
  std::vector<int64_t> shape;
  uint64_t count = 0;
};

struct Group {
  GroupKind kind;
  bool coded = false;  // by rANS; else of fixed width
  std::vector<Member> members;
};

struct Layout {
  int lanes = 0;  // of the rANS stream; 0: there is none
  std::vector<Group> groups;
  std::vector<Member> plain;
};

Json to_json(const Layout& layout);
/// Error(model) naming `where`. Counts are checked for overflow, alone and added up.
Layout layout_from_json(const Json& json, const std::string& where);

/// The points of a form; empty where there are none of so many (and when stored).
std::vector<float> points_of(PointForm form, std::size_t points);
int64_t bucket_of(const GroupKind& kind, const Member& member);  // values a scale, >= 1
uint64_t buckets_of(const GroupKind& kind, const Member& member);
uint64_t count_of(const std::vector<Member>& members);
int fixed_bits(std::size_t points);

/// Elements of a shape; nothing when a dimension is negative or the product does not fit.
std::optional<uint64_t> elements(const std::vector<int64_t>& shape);

/// IEEE half precision and bfloat16, as bits. narrow: nothing unless the value is exactly one.
std::optional<uint16_t> narrow(float value, Dtype type);
float widen(uint16_t bits, Dtype type);

}  // namespace bitstill
