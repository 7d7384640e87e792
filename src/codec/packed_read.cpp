// Reading what strangers wrote: every size is compared with the bytes that are there before memory
// is taken for it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/codec/bit_packing.hpp"
#include "bitstill/codec/rans.hpp"
#include "bitstill/codec/symbol_table.hpp"
#include "packed_layout.hpp"

namespace bitstill {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ExitCode::model, concat(where, ": ", what));
}

[[noreturn]] void refuse_damaged(const std::string& where, const std::string& what) {
  refuse(where, what + "; the file is damaged: copy or write it again");
}

/// Checked: format, and that a stranger's text cannot grow into a large tree.
Json parse_about(const SafetensorsHeader& header, const std::string& where) {
  const auto found = header.metadata.find("bitstill");
  if (found == header.metadata.end()) return nullptr;
  if (found->second.size() > kMostAboutBytes) refuse(where, "its description is above 1 MiB");
  Json about = parse_json(found->second, where + ": its description", ExitCode::model);
  const auto format = about.is_object() ? about.find("format") : about.end();
  if (!about.is_object() || format == about.end() || !format->is_number_unsigned()) {
    refuse(where, "its description has no format number; write the file again");
  }
  if (*format > kModelFormat) {
    refuse(where, concat("is of format ", format->dump(), " and this bitstill reads format ",
                         kModelFormat, "; use a newer bitstill"));
  }
  if (about.contains("quantized")) {  // format 1
    refuse(where,
           "was packed by an older bitstill; write it again from the run's "
           "master.safetensors");
  }
  if (const auto kind = about.find("kind"); kind != about.end() && !kind->is_string()) {
    refuse(where, "its kind is not a word; write the file again");
  }
  return about;
}

/// __metadata__["bitstill_input"], which a file of another program may have.
Json parse_input(const SafetensorsHeader& header, const std::string& where) {
  const auto found = header.metadata.find("bitstill_input");
  if (found == header.metadata.end()) return nullptr;
  if (header.metadata.contains("bitstill")) {
    refuse(where, "describes its input twice, as bitstill and as bitstill_input; leave one out");
  }
  if (found->second.size() > kMostAboutBytes) refuse(where, "its bitstill_input is above 1 MiB");
  return parse_json(found->second, where + ": its bitstill_input", ExitCode::model);
}

/// The entries of a file by name; what was taken is not given again.
class Entries {
 public:
  Entries(const ByteSource& source, const SafetensorsHeader& header, const std::string& where)
      : source_(source), header_(header), where_(where), taken_(header.entries.size()) {
    for (std::size_t i = 0; i < header.entries.size(); ++i) places_[header.entries[i].name] = i;
  }

  /// The bytes of an entry that must have `elements` of `type`; one of 0 may be missing.
  std::vector<uint8_t> take(const std::string& name, Dtype type, uint64_t elements) {
    const uint64_t bytes = size_of(name, type);
    const auto width = static_cast<uint64_t>(dtype_bytes(type));
    if (bytes % width != 0 || bytes / width != elements) {
      refuse_damaged(where_, concat("its ", name, " should be ", elements, " numbers and take ",
                                    bytes, " bytes"));
    }
    return take(name);
  }
  std::vector<uint8_t> take(const std::string& name) {
    const auto found = places_.find(name);
    if (found == places_.end()) return {};
    taken_[found->second] = true;
    const auto& entry = header_.entries[found->second];
    std::vector<uint8_t> bytes(entry.bytes);
    source_.read(header_.data_start + entry.offset, bytes.data(), bytes.size());
    return bytes;
  }
  uint64_t size_of(const std::string& name, Dtype type) const {
    const auto found = places_.find(name);
    if (found == places_.end()) return 0;
    if (header_.entries[found->second].dtype != type) {
      refuse_damaged(where_, concat("its ", name, " are not of type ", dtype_name(type)));
    }
    return header_.entries[found->second].bytes;
  }
  /// The plain fp32 tensors inside the entry "values".
  void place_values(const std::vector<Member>& plain, const PlaceTensor& place) {
    const uint64_t count = count_of(plain);
    if (size_of("values", Dtype::f32) != 4 * count) {
      refuse_damaged(where_, concat("its values should be ", count, " numbers"));
    }
    const auto found = places_.find("values");
    uint64_t at = 0;
    if (found != places_.end()) {
      taken_[found->second] = true;
      at = header_.data_start + header_.entries[found->second].offset;
    }
    for (const Member& one : plain) {
      void* const to = place(one.name, Dtype::f32, one.shape);
      if (to != nullptr && one.count > 0) source_.read(at, to, 4 * one.count);
      at += 4 * one.count;
    }
  }
  void place_rest(const Layout& layout, const PlaceTensor& place) {
    std::map<std::string, bool> packed;
    for (const Group& group : layout.groups) {
      for (const Member& one : group.members) packed[one.name] = true;
    }
    for (const Member& one : layout.plain) packed[one.name] = true;
    for (std::size_t i = 0; i < header_.entries.size(); ++i) {
      const auto& entry = header_.entries[i];
      if (taken_[i]) continue;
      if (packed.contains(entry.name)) {
        refuse_damaged(where_, concat("it holds tensor ", entry.name.substr(0, 200), " twice"));
      }
      void* const to = place(entry.name, entry.dtype, entry.shape);
      if (to != nullptr && entry.bytes > 0) {
        source_.read(header_.data_start + entry.offset, to, entry.bytes);
      }
    }
  }

 private:
  const ByteSource& source_;
  const SafetensorsHeader& header_;
  const std::string& where_;
  std::map<std::string, std::size_t> places_;
  std::vector<bool> taken_;
};

uint64_t total(const Layout& layout, const std::function<uint64_t(const Group&)>& of) {
  uint64_t sum = 0;
  for (const Group& group : layout.groups) sum += of(group);
  return sum;
}

uint64_t scales_of(const Group& group) {
  uint64_t buckets = 0;
  for (const Member& one : group.members) buckets += buckets_of(group.kind, one);
  return group.kind.beta ? 2 * buckets : buckets;
}

/// Cuts a list of numbers of one type into pieces, in order.
class Numbers {
 public:
  Numbers(Dtype type, std::vector<uint8_t> bytes) : type_(type), bytes_(std::move(bytes)) {}
  std::vector<float> next(uint64_t count, const std::string& where) {
    std::vector<float> values(count);
    for (float& value : values) {
      uint16_t half = 0;
      if (type_ == Dtype::f32) {
        std::memcpy(&value, bytes_.data() + at_, 4);
      } else {
        std::memcpy(&half, bytes_.data() + at_, 2);
        value = widen(half, type_);
      }
      at_ += static_cast<std::size_t>(dtype_bytes(type_));
      if (!std::isfinite(value)) refuse_damaged(where, "a scale or point is not finite");
    }
    return values;
  }

 private:
  Dtype type_;
  std::vector<uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// The codes of all groups, group by group, from the bytes of the entry "codes".
class CodeReader {
 public:
  /// Everything before the rANS stream is found and checked here, so nothing large is made in vain.
  CodeReader(const Layout& layout, std::vector<uint8_t> bytes, const std::string& where)
      : layout_(layout), bytes_(std::move(bytes)), where_(where) {
    std::size_t at = 0;
    for (const Group& group : layout.groups) {
      starts_.push_back(at);
      const std::size_t size =
          group.coded ? group.kind.points
                      : packed_bytes(count_of(group.members), fixed_bits(group.kind.points));
      if (size > bytes_.size() - at) refuse_damaged(where, "its codes are too short");
      at += size;
    }
    if (layout.lanes > 0) {
      rans_.emplace(bytes_.data() + at, bytes_.size() - at, layout.lanes, where);
    } else if (at != bytes_.size()) {
      refuse_damaged(where, "its codes are too long");
    }
  }

  /// Of the tensors of group `g`, in pieces: no second copy of a large group. To be called in
  /// order.
  void read(std::size_t g, CodedTensor* tensors) {
    const Group& group = layout_.groups[g];
    std::vector<double> bits(group.kind.points, fixed_bits(group.kind.points));
    const auto pieces = group.coded ? coded_pieces(g, bits) : fixed_pieces(g);
    std::vector<uint8_t> piece;
    std::size_t at = 0;
    uint64_t left = count_of(group.members);
    for (std::size_t m = 0; m < group.members.size(); ++m) {
      auto& codes = tensors[m].codes;
      codes.resize(group.members[m].count);
      for (std::size_t done = 0; done < codes.size();) {
        if (at == piece.size()) {
          piece.resize(std::min<uint64_t>(kPiece, left));
          left -= piece.size();
          pieces(piece);
          at = 0;
        }
        const std::size_t count = std::min(codes.size() - done, piece.size() - at);
        std::copy_n(piece.data() + at, count, codes.data() + done);
        done += count;
        at += count;
      }
      tensors[m].code_bytes = bytes_of(codes, bits);
    }
  }

  void finish() const {
    if (rans_) rans_->finish();
  }

 private:
  static constexpr std::size_t kPiece = 64 * 8 * 5 * 3 * 16;  // codes: whole rounds of any symbols
  using Pieces = std::function<void(std::vector<uint8_t>& piece)>;  // fills it with what follows

  Pieces fixed_pieces(std::size_t g) const {
    const std::size_t points = layout_.groups[g].kind.points;
    const int width = fixed_bits(points);
    return [this, points, width, from = bytes_.data() + starts_[g]](auto& piece) mutable {
      unpack_codes(from, piece.size(), width, piece.data());
      from += packed_bytes(piece.size(), width);
      const auto most = std::max_element(piece.begin(), piece.end());
      if (*most >= points) refuse_damaged(where_, concat("code ", int{*most}, " has no point"));
    };
  }

  /// Sets `bits` to what each code takes.
  Pieces coded_pieces(std::size_t g, std::vector<double>& bits) {
    const std::size_t points = layout_.groups[g].kind.points;
    const uint8_t* const from = bytes_.data() + starts_[g];
    const std::vector<uint8_t> weights(from, from + points);
    double sum = 0;
    for (const uint8_t weight : weights) sum += weight_of(weight);
    if (sum == 0) refuse_damaged(where_, "a table of its codes is empty");
    for (std::size_t code = 0; code < points; ++code) {
      bits[code] = weights[code] == 0 ? 0 : std::log2(sum / weight_of(weights[code]));
    }
    return [this, points, table = SymbolTable(weights),
            symbols = std::vector<uint8_t>()](auto& piece) mutable {
      const auto group = static_cast<std::size_t>(table.codes);
      symbols.resize((piece.size() + group - 1) / group);
      rans_->decode(table, symbols.size(), symbols.data());
      split_symbols(symbols.data(), piece.size(), points, piece.data());
    };
  }

  static double bytes_of(const std::vector<uint8_t>& codes, const std::vector<double>& bits) {
    std::vector<uint64_t> counts(bits.size());
    for (const uint8_t code : codes) ++counts[code];
    double sum = 0;
    for (std::size_t code = 0; code < bits.size(); ++code) {
      sum += static_cast<double>(counts[code]) * bits[code] / 8;
    }
    return sum;
  }

  const Layout& layout_;
  std::vector<uint8_t> bytes_;
  const std::string& where_;
  std::vector<std::size_t> starts_;
  std::optional<RansDecoder> rans_;
};

void add_scales(const Group& group, Numbers& scales, Numbers& points, const std::string& where,
                CodedTensor* tensors) {
  const GroupKind& kind = group.kind;
  for (std::size_t m = 0; m < group.members.size(); ++m) {
    tensors[m].alpha = scales.next(buckets_of(kind, group.members[m]), where);
    tensors[m].beta.assign(tensors[m].alpha.size(), 0.0F);
  }
  for (std::size_t m = 0; m < group.members.size(); ++m) {
    CodedTensor& tensor = tensors[m];
    if (kind.beta) tensor.beta = scales.next(tensor.alpha.size(), where);
    const bool stored = kind.form == PointForm::stored;
    tensor.points = stored ? points.next(kind.points, where) : points_of(kind.form, kind.points);
    tensor.scale_bytes = static_cast<double>(tensor.alpha.size()) * (kind.beta ? 2 : 1) *
                             dtype_bytes(kind.scale_type) +
                         (stored ? 4 * static_cast<double>(kind.points) : 0);
  }
}

std::vector<CodedTensor> read_coded(const Layout& layout, Entries& entries, PackedModel& model,
                                    const std::string& where) {
  const uint64_t count = total(layout, [](const Group& g) { return count_of(g.members); });
  model.code_bytes = entries.size_of("codes", Dtype::u8);
  if (count > kMostCodesPerByte * model.code_bytes) {
    refuse_damaged(where, concat("it declares ", count, " values and holds ", model.code_bytes,
                                 " bytes of codes"));
  }
  std::map<Dtype, Numbers> scales;
  for (const Dtype type : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    const uint64_t numbers = total(layout, [&](const Group& group) {
      return group.kind.scale_type == type ? scales_of(group) : 0;
    });
    model.scale_bytes += numbers * static_cast<uint64_t>(dtype_bytes(type));
    scales.emplace(type,
                   Numbers(type, entries.take(concat("scales.", dtype_name(type)), type, numbers)));
  }
  const uint64_t stored = total(layout, [](const Group& group) {
    return group.kind.form == PointForm::stored ? group.members.size() * group.kind.points : 0;
  });
  model.point_bytes = 4 * stored;
  Numbers points(Dtype::f32, entries.take("points", Dtype::f32, stored));
  CodeReader reader(layout, entries.take("codes"), where);
  std::vector<CodedTensor> coded;
  for (std::size_t g = 0; g < layout.groups.size(); ++g) {
    const Group& group = layout.groups[g];
    const std::size_t first = coded.size();
    for (const Member& one : group.members) {
      coded.push_back({one.name,
                       one.shape,
                       static_cast<int64_t>(one.count),
                       bucket_of(group.kind, one),
                       {},
                       {},
                       {},
                       {},
                       0,
                       0});
    }
    add_scales(group, scales.at(group.kind.scale_type), points, where, coded.data() + first);
    reader.read(g, coded.data() + first);
  }
  reader.finish();
  return coded;
}

}  // namespace

ModelFront read_model_front(const ByteSource& source, const std::string& where) {
  const std::string bytes = header_bytes(source, where);
  ModelFront front;
  front.header = parse_safetensors_header(bytes, source.size, where);
  front.about = parse_about(front.header, where);
  front.input = parse_input(front.header, where);
  return front;
}

PackedModel read_packed_model(const ByteSource& source, const std::string& where,
                              const PlaceTensor& place) {
  return read_packed_model(read_model_front(source, where), source, where, place);
}

PackedModel read_packed_model(ModelFront front, const ByteSource& source, const std::string& where,
                              const PlaceTensor& place) {
  const SafetensorsHeader& header = front.header;
  PackedModel model;
  model.about = std::move(front.about);
  model.input = std::move(front.input);
  model.header_bytes = header.data_start;
  Entries entries(source, header, where);
  Layout layout;
  if (model.about.is_object() && model.about.contains("packed")) {
    layout = layout_from_json(model.about["packed"], where);
    model.about.erase("packed");
    model.coded = read_coded(layout, entries, model, where);
    entries.place_values(layout.plain, place);
  }
  entries.place_rest(layout, place);
  return model;
}

}  // namespace bitstill
