// Writing: which tensors go together, how their codes are coded, and the bytes of each entry.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <future>
#include <map>

#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/bit_packing.hpp"
#include "bitstill/codec/rans.hpp"
#include "bitstill/codec/seal.hpp"
#include "bitstill/codec/symbol_table.hpp"
#include "packed_layout.hpp"

namespace bitstill {
namespace {

constexpr double kGroupBytes = 110;  // what one more group's description takes
constexpr int kFewLanes = 4;         // a state takes 4 bytes: few while a file is small
constexpr double kManyLanesBytes = 128 << 10;
constexpr uint64_t kLargeBytes = 4 << 20;  // hashed by a thread of its own

using Counts = std::vector<uint64_t>;  // of each code

[[noreturn]] void refuse(const std::string& where, const CodedTensor& tensor,
                         const std::string& what) {
  throw Error(ExitCode::model, concat(where, ": tensor ", tensor.name, ": ", what));
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

void check_parts(const CodedTensor& tensor, const std::string& where) {
  const auto count = elements(tensor.shape);
  if (!count || tensor.count < 0 || *count != static_cast<uint64_t>(tensor.count)) {
    refuse(where, tensor, concat("its shape does not have ", tensor.count, " elements"));
  }
  if (tensor.codes.size() != *count) {
    refuse(where, tensor, concat("it has ", tensor.codes.size(), " codes for ", *count, " values"));
  }
  if (tensor.bucket < 1) refuse(where, tensor, "its buckets are empty");
  const uint64_t buckets =
      *count == 0 ? 0 : (*count - 1) / static_cast<uint64_t>(tensor.bucket) + 1;
  if (tensor.alpha.size() != buckets || tensor.beta.size() != buckets) {
    refuse(where, tensor, concat("it needs ", buckets, " scales and has ", tensor.alpha.size()));
  }
  if (tensor.points.empty() || tensor.points.size() > 256) {
    refuse(where, tensor,
           concat("it has ", tensor.points.size(), " points; 1 to 256 are possible"));
  }
  if (!all_finite(tensor.alpha) || !all_finite(tensor.beta) || !all_finite(tensor.points)) {
    refuse(where, tensor, "a scale or point is not finite");
  }
  const auto most = std::max_element(tensor.codes.begin(), tensor.codes.end());
  if (most != tensor.codes.end() && *most >= tensor.points.size()) {
    refuse(where, tensor, concat("code ", int{*most}, " has no point"));
  }
}

PointForm form_of(const std::vector<float>& points) {
  for (const PointForm form : {PointForm::uniform, PointForm::centred, PointForm::integers}) {
    const auto same = points_of(form, points.size());  // compared by bits: -0 is not 0 here
    if (!same.empty() && std::memcmp(same.data(), points.data(), 4 * points.size()) == 0) {
      return form;
    }
  }
  return PointForm::stored;
}

Dtype scale_type_of(const CodedTensor& tensor) {
  for (const Dtype type : {Dtype::f16, Dtype::bf16}) {
    const auto fits = [&](float value) { return narrow(value, type).has_value(); };
    if (std::all_of(tensor.alpha.begin(), tensor.alpha.end(), fits) &&
        std::all_of(tensor.beta.begin(), tensor.beta.end(), fits)) {
      return type;
    }
  }
  return Dtype::f32;
}

/// `common`: how many tensors have this number of values a bucket. A number that several share
/// keeps them in one group; one that a tensor has alone may follow from its shape.
GroupKind kind_of(const CodedTensor& tensor, int common) {
  GroupKind kind;
  kind.form = form_of(tensor.points);
  kind.points = tensor.points.size();
  kind.bucket = tensor.bucket;
  const bool channels = !tensor.shape.empty() && tensor.shape[0] > 0 && tensor.count > 0 &&
                        tensor.count / tensor.shape[0] == tensor.bucket;
  if (common < 2 && (tensor.bucket == tensor.count || channels)) {
    kind.bucket_form = tensor.bucket == tensor.count ? BucketForm::tensor : BucketForm::channel;
    kind.bucket = 1;
  }
  kind.scale_type = scale_type_of(tensor);
  kind.beta = std::any_of(tensor.beta.begin(), tensor.beta.end(),
                          [](float v) { return v != 0 || std::signbit(v); });
  return kind;
}

Counts counts_of(const CodedTensor& tensor) {
  Counts counts(tensor.points.size());
  for (const uint8_t code : tensor.codes) ++counts[code];
  return counts;
}

Counts sum(Counts a, const Counts& b) {
  std::transform(a.begin(), a.end(), b.begin(), a.begin(), std::plus<>());
  return a;
}

/// Bits that codes take with a table of their own, table included; fixed width where smaller.
double best_bits(const Counts& counts) {
  double codes = 0;
  for (const uint64_t count : counts) codes += static_cast<double>(count);
  const double fixed = codes * fixed_bits(counts.size());
  if (codes == 0) return 0;
  return std::min(
      fixed, coded_bits(counts, fit_weights(counts)) + 8.0 * static_cast<double>(counts.size()));
}

struct Draft {
  GroupKind kind;
  Counts counts;
  std::vector<std::size_t> tensors;
};

/// The largest tensors first, each joins the group where it costs least, or opens one.
std::vector<Draft> draft_groups(const std::vector<CodedTensor>& coded) {
  std::map<int64_t, int> common;
  for (const auto& tensor : coded) ++common[tensor.bucket];
  std::vector<std::size_t> order(coded.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return coded[a].count > coded[b].count; });
  std::vector<Draft> drafts;
  for (const std::size_t i : order) {
    const GroupKind kind = kind_of(coded[i], common[coded[i].bucket]);
    const Counts counts = counts_of(coded[i]);
    double least = best_bits(counts) + 8 * kGroupBytes;
    Draft* best = nullptr;
    for (Draft& draft : drafts) {
      if (draft.kind != kind) continue;
      const double more = best_bits(sum(draft.counts, counts)) - best_bits(draft.counts);
      if (more < least) {
        least = more;
        best = &draft;
      }
    }
    if (best == nullptr) {
      drafts.push_back({kind, Counts(counts.size()), {}});
      best = &drafts.back();
    }
    best->counts = sum(best->counts, counts);
    best->tensors.push_back(i);
  }
  for (Draft& draft : drafts) std::sort(draft.tensors.begin(), draft.tensors.end());
  return drafts;
}

/// Decides the coding of each group and the number of lanes.
Layout layout_of(const std::vector<Draft>& drafts, const std::vector<CodedTensor>& coded) {
  Layout layout;
  double saved = 0, stream = 0;  // bits
  for (const Draft& draft : drafts) {
    Group group{draft.kind, false, {}};
    for (const std::size_t i : draft.tensors) {
      group.members.push_back({coded[i].name, coded[i].shape, coded[i].codes.size()});
    }
    const double fixed =
        static_cast<double>(count_of(group.members)) * fixed_bits(draft.kind.points);
    const double best = best_bits(draft.counts);
    group.coded = best < fixed;
    saved += fixed - best;
    if (group.coded) stream += best;
    layout.groups.push_back(std::move(group));
  }
  layout.lanes = stream < 8 * kManyLanesBytes ? kFewLanes : RansDecoder::kFastLanes;
  if (saved <= 32.0 * layout.lanes) {
    layout.lanes = 0;
    for (Group& group : layout.groups) group.coded = false;
  }
  return layout;
}

/// The bytes of the entry "codes".
std::vector<uint8_t> code_bytes(const Layout& layout, const std::vector<Draft>& drafts,
                                const std::vector<CodedTensor>& coded) {
  std::vector<uint8_t> bytes;
  std::vector<SymbolTable> tables;
  std::vector<std::vector<uint8_t>> symbols;
  tables.reserve(drafts.size());
  for (std::size_t g = 0; g < drafts.size(); ++g) {
    std::vector<uint8_t> codes;
    for (const std::size_t i : drafts[g].tensors) {
      codes.insert(codes.end(), coded[i].codes.begin(), coded[i].codes.end());
    }
    const std::size_t points = drafts[g].kind.points;
    if (layout.groups[g].coded) {
      const auto weights = fit_weights(drafts[g].counts);
      bytes.insert(bytes.end(), weights.begin(), weights.end());
      tables.emplace_back(weights);
      symbols.push_back(group_codes(codes.data(), codes.size(), points));
    } else {
      const std::size_t before = bytes.size();
      bytes.resize(before + packed_bytes(codes.size(), fixed_bits(points)));
      pack_codes(codes.data(), codes.size(), fixed_bits(points), bytes.data() + before);
    }
  }
  if (layout.lanes == 0) return bytes;
  std::vector<SymbolRun> runs;
  for (std::size_t r = 0; r < symbols.size(); ++r) {
    runs.push_back({&tables[r], symbols[r].data(), symbols[r].size()});
  }
  const auto stream = encode_rans(runs, layout.lanes);
  bytes.insert(bytes.end(), stream.begin(), stream.end());
  return bytes;
}

void append(const std::vector<float>& values, Dtype type, std::vector<uint8_t>& bytes) {
  for (const float value : values) {
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    const uint16_t half = type == Dtype::f32 ? uint16_t{0} : narrow(value, type).value();
    if (type != Dtype::f32) from = reinterpret_cast<const uint8_t*>(&half);
    bytes.insert(bytes.end(), from, from + dtype_bytes(type));
  }
}

/// An entry of the file and its bytes: its own, or (own empty) the caller's.
struct Part {
  std::vector<uint8_t> own;
  const void* data = nullptr;
};

class FileParts {
 public:
  void add(const std::string& name, Dtype dtype, std::vector<uint8_t> bytes) {
    if (bytes.empty()) return;
    const auto size = static_cast<int64_t>(bytes.size()) / dtype_bytes(dtype);
    header.entries.push_back({name, dtype, {size}, 0, 0});
    parts_.push_back({std::move(bytes), nullptr});
  }
  void add(const PlainTensor& tensor) {
    header.entries.push_back({tensor.name, tensor.dtype, tensor.shape, 0, 0});
    parts_.push_back({{}, tensor.data});
  }
  /// With the file's SHA-256.
  SealedFile write(ByteSink& sink) {
    header.metadata[kSealName] = kNoSeal;
    const std::string front = build_safetensors_header(header);
    SealedFile written{front.size(), ""};
    for (const SafetensorsEntry& entry : header.entries) written.bytes += entry.bytes;
    const auto hash_all = [&] {
      Sha256 hash;
      hash.add(front.data(), front.size());
      for_parts([&](const void* bytes, std::size_t count) { hash.add(bytes, count); });
      return hash.hex();
    };
    const bool large = written.bytes >= kLargeBytes;
    constexpr auto kBeside =
        std::launch::async | std::launch::deferred;  // where a thread can be had
    auto hash = std::async(large ? kBeside : std::launch::deferred, hash_all);
    sink.append(front.data(), front.size());
    for_parts([&](const void* bytes, std::size_t count) { sink.append(bytes, count); });
    written.sha256 = hash.get();
    sink.overwrite(find_seal(front).value(), written.sha256);
    return written;
  }
  SafetensorsHeader header;

 private:
  template <class Take>
  void for_parts(const Take& take) const {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      take(parts_[i].own.empty() ? parts_[i].data : parts_[i].own.data(), header.entries[i].bytes);
    }
  }
  std::vector<Part> parts_;
};

void add_coded(FileParts& parts, const std::vector<Draft>& drafts, const Layout& layout,
               const std::vector<CodedTensor>& coded) {
  std::map<Dtype, std::vector<uint8_t>> scales;
  std::vector<uint8_t> points;
  for (const Draft& draft : drafts) {
    auto& bytes = scales[draft.kind.scale_type];
    for (const std::size_t i : draft.tensors) append(coded[i].alpha, draft.kind.scale_type, bytes);
    for (const std::size_t i : draft.tensors) {
      if (draft.kind.beta) append(coded[i].beta, draft.kind.scale_type, bytes);
      if (draft.kind.form == PointForm::stored) append(coded[i].points, Dtype::f32, points);
    }
  }
  parts.add("codes", Dtype::u8, code_bytes(layout, drafts, coded));
  for (auto& [type, bytes] : scales) {
    parts.add(concat("scales.", dtype_name(type)), type, std::move(bytes));
  }
  parts.add("points", Dtype::f32, std::move(points));
}

}  // namespace

SealedFile write_packed_model(const std::string& where, const Json& about,
                              const std::vector<PlainTensor>& plain,
                              const std::vector<CodedTensor>& coded, ByteSink& sink) {
  for (const auto& tensor : coded) check_parts(tensor, where);
  FileParts parts;
  Json description = {{"format", kModelFormat}};
  if (about.is_object()) description.update(about);
  description["format"] = kModelFormat;
  std::vector<uint8_t> values;
  if (!coded.empty()) {
    const auto drafts = draft_groups(coded);
    Layout layout = layout_of(drafts, coded);
    uint64_t count = 0;
    for (const Group& group : layout.groups) count += count_of(group.members);
    if (count > kMostCodesPerByte * code_bytes(layout, drafts, coded).size()) {
      layout.lanes = 0;  // a reader would not believe it
      for (Group& group : layout.groups) group.coded = false;
    }
    add_coded(parts, drafts, layout, coded);
    for (const PlainTensor& tensor : plain) {
      if (tensor.dtype != Dtype::f32) continue;
      const uint64_t number = elements(tensor.shape).value_or(0);
      layout.plain.push_back({tensor.name, tensor.shape, number});
      const auto* bytes = static_cast<const uint8_t*>(tensor.data);
      if (number > 0) values.insert(values.end(), bytes, bytes + 4 * number);
    }
    parts.add("values", Dtype::f32, std::move(values));
    description["packed"] = to_json(layout);
  }
  for (const PlainTensor& tensor : plain) {
    if (coded.empty() || tensor.dtype != Dtype::f32) parts.add(tensor);
  }
  if (!about.is_null() || !coded.empty()) {
    auto& text = parts.header.metadata["bitstill"];
    text = description.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > kMostAboutBytes) {  // a reader would refuse it
      throw Error(ExitCode::model, where + ": its description is above 1 MiB; name fewer tensors");
    }
  }
  return parts.write(sink);
}

}  // namespace bitstill
