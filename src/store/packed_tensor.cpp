#include "bitstill/store/packed_tensor.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "bitstill/base/text.hpp"
#include "bitstill/codec/bit_packing.hpp"

namespace bitstill {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ExitCode::model, concat(where, ": ", what, "; write the file again"));
}

std::vector<float> uniform_points(int bits) {
  const int last = (1 << bits) - 1;
  std::vector<float> points;
  for (int j = 0; j <= last; ++j)
    points.push_back(static_cast<float>(j) / static_cast<float>(last));
  return points;
}

int64_t bucket_count(int64_t count, int64_t bucket) {
  return count == 0 ? 0 : (count - 1) / bucket + 1;
}

/// Whether the dimensions multiply to `count`; false, too, when the product does not fit.
bool has_elements(const std::vector<int64_t>& shape, int64_t count) {
  int64_t bound = 1;  // with empty dimensions as 1, so that strides fit as well
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bound, std::max<int64_t>(size, 1), &bound)) return false;
    empty = empty || size == 0;
  }
  return (empty ? 0 : bound) == count;
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

int64_t whole_number(const Json& value, const std::string& where, const char* key) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) {
    refuse(where, concat("its ", key, " is not a number from 0"));
  }
  return value.get<int64_t>();
}

const Json& member(const Json& about, const std::string& where, const char* key) {
  const auto found = about.is_object() ? about.find(key) : about.end();
  if (!about.is_object() || found == about.end()) refuse(where, concat("its ", key, " is missing"));
  return *found;
}

std::string word(const Json& about, const std::string& where, const char* key) {
  const Json& value = member(about, where, key);
  if (!value.is_string()) refuse(where, concat("its ", key, " is not a word"));
  return value.get<std::string>();
}

/// What must hold of any quantized tensor whose codes have been counted.
void check_parts(const QuantizedTensor& tensor, const std::string& where) {
  if (tensor.count < 0 || !has_elements(tensor.shape, tensor.count)) {
    refuse(where, concat("its shape does not have ", tensor.count, " elements"));
  }
  if (tensor.count > 0 && tensor.bucket < 1) refuse(where, "its buckets are empty");
  const auto buckets = static_cast<std::size_t>(bucket_count(tensor.count, tensor.bucket));
  if (tensor.alpha.size() != buckets || tensor.beta.size() != buckets) {
    refuse(where, concat("it needs ", buckets, " scales and has ", tensor.alpha.size()));
  }
  if (tensor.points.empty() || tensor.points.size() > 256) {
    refuse(where, concat("it has ", tensor.points.size(), " points; 1 to 256 are possible"));
  }
  if (!all_finite(tensor.alpha) || !all_finite(tensor.beta) || !all_finite(tensor.points)) {
    refuse(where, "a scale or point is not finite");
  }
  const auto largest = std::max_element(tensor.codes.begin(), tensor.codes.end());
  if (largest != tensor.codes.end() && *largest >= tensor.points.size()) {
    refuse(where, concat("code ", int{*largest}, " has no point"));
  }
}

}  // namespace

PackedTensor pack_tensor(const QuantizedTensor& tensor, const std::string& where) {
  if (tensor.codes.size() != static_cast<std::size_t>(tensor.count)) {
    refuse(where, concat("it has ", tensor.codes.size(), " codes for ", tensor.count, " values"));
  }
  check_parts(tensor, where);
  const int bits = std::max(1, static_cast<int>(std::bit_width(tensor.points.size() - 1)));
  PackedTensor packed;
  packed.codes.resize(packed_bytes(tensor.codes.size(), bits));
  pack_codes(tensor.codes.data(), tensor.codes.size(), bits, packed.codes.data());
  for (std::size_t i = 0; i < tensor.alpha.size(); ++i) {
    packed.scales.push_back(tensor.alpha[i]);
    packed.scales.push_back(tensor.beta[i]);
  }
  const auto even = uniform_points(bits);  // by bits: -0 is not 0 here
  const bool uniform =
      tensor.points.size() == even.size() &&
      std::memcmp(tensor.points.data(), even.data(), even.size() * sizeof(float)) == 0;
  if (!uniform) packed.points = tensor.points;
  packed.about = {{"shape", tensor.shape},
                  {"count", tensor.count},
                  {"bucket", tensor.bucket},
                  {"bits", bits},
                  {"points", uniform ? "uniform" : "stored"},
                  {"coding", "fixed"}};
  return packed;
}

QuantizedTensor unpack_tensor(const PackedTensor& packed, const std::string& where) {
  const Json& about = packed.about;
  if (const auto coding = word(about, where, "coding"); coding != "fixed") {
    refuse(where, concat("its codes are in the coding ", coding.substr(0, 40),
                         ", which this version of bitstill does not know; use a newer one"));
  }
  QuantizedTensor tensor;
  const Json& shape = member(about, where, "shape");
  if (!shape.is_array() || shape.size() > 32) refuse(where, "its shape is not a list of sizes");
  for (const Json& size : shape) tensor.shape.push_back(whole_number(size, where, "shape"));
  tensor.count = whole_number(member(about, where, "count"), where, "count");
  tensor.bucket = whole_number(member(about, where, "bucket"), where, "bucket");
  const int64_t bits = whole_number(member(about, where, "bits"), where, "bits");
  if (bits < 1 || bits > 8) refuse(where, concat("codes of ", bits, " bits; 1 to 8 are possible"));
  const auto points = word(about, where, "points");
  if (points != "uniform" && points != "stored") refuse(where, "its points are of an unknown kind");
  tensor.points = points == "uniform" ? uniform_points(static_cast<int>(bits)) : packed.points;

  const auto count = static_cast<std::size_t>(tensor.count);
  if (packed_bytes(count, static_cast<int>(bits)) != packed.codes.size()) {
    refuse(where,
           concat(count, " codes of ", bits, " bits do not take ", packed.codes.size(), " bytes"));
  }
  tensor.codes.resize(count);
  unpack_codes(packed.codes.data(), count, static_cast<int>(bits), tensor.codes.data());
  for (std::size_t i = 0; i + 1 < packed.scales.size(); i += 2) {
    tensor.alpha.push_back(packed.scales[i]);
    tensor.beta.push_back(packed.scales[i + 1]);
  }
  check_parts(tensor, where);
  return tensor;
}

}  // namespace bitstill
