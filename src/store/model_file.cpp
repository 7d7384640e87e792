// A packed file's tensors, in this order:
//   NAME.codes   U8 [bytes]       of every quantized tensor
//   NAME.scales  F32 [buckets, 2] of every quantized tensor: alpha, beta
//   NAME.points  F32 [s]          where the points are not the uniform ones
//   NAME                          everything else as it is
#include "bitstill/store/model_file.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <map>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/codec/safetensors.hpp"
#include "bitstill/store/packed_tensor.hpp"

namespace bitstill {
namespace {

constexpr int64_t kFormat = 1;
constexpr std::size_t kMostAboutBytes = 4 << 20;  // as a tree it takes some 15 times as much

constexpr std::pair<Dtype, at::ScalarType> kTypes[] = {
    {Dtype::f64, at::kDouble},    {Dtype::f32, at::kFloat}, {Dtype::f16, at::kHalf},
    {Dtype::bf16, at::kBFloat16}, {Dtype::i64, at::kLong},  {Dtype::i32, at::kInt},
    {Dtype::i16, at::kShort},     {Dtype::i8, at::kChar},   {Dtype::u8, at::kByte},
    {Dtype::boolean, at::kBool}};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(ExitCode::model, concat(path, ": ", what));
}

Dtype dtype_of(const at::Tensor& tensor, const std::string& where) {
  for (const auto& [dtype, type] : kTypes) {
    if (tensor.scalar_type() == type) return dtype;
  }
  refuse(where, concat("tensors of type ", tensor.scalar_type(), " cannot be stored"));
}

at::ScalarType type_of(Dtype dtype) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const auto& pair) { return pair.first == dtype; });
  return found->second;
}

/// "format" first, then what the caller says, then the packed tensors' descriptions.
std::string metadata_text(const ModelFile& file, const std::vector<PackedTensor>& packed) {
  Json about = {{"format", kFormat}};
  if (file.about.is_object()) about.update(file.about);
  about["format"] = kFormat;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    about["quantized"][file.quantized[i].first] = packed[i].about;
  }
  return about.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Checked: format, and that a stranger's text cannot grow into a large tree.
Json parse_about(const SafetensorsHeader& header, const std::string& path) {
  const auto found = header.metadata.find("bitstill");
  if (found == header.metadata.end()) return nullptr;
  if (found->second.size() > kMostAboutBytes) refuse(path, "its description is above 4 MiB");
  Json about = parse_json(found->second, path + ": its description", ExitCode::model);
  const auto format = about.is_object() ? about.find("format") : about.end();
  if (!about.is_object() || format == about.end() || !format->is_number_unsigned()) {
    refuse(path, "its description has no format number; write the file again");
  }
  if (*format != kFormat) {
    refuse(path, concat("is of format ", format->dump(), " and this bitstill reads format ",
                        kFormat, "; use a newer bitstill"));
  }
  if (const auto kind = about.find("kind"); kind != about.end() && !kind->is_string()) {
    refuse(path, "its kind is not a word; write the file again");
  }
  return about;
}

/// The tensors of a file by name; what was taken is not given again.
class Contents {
 public:
  Contents(const std::string& path, const InputFile& file, const SafetensorsHeader& header)
      : path_(path), file_(file), header_(header), taken_(header.entries.size()) {
    for (std::size_t i = 0; i < header.entries.size(); ++i) places_[header.entries[i].name] = i;
  }

  /// The bytes of a packed tensor's part; T is its element type.
  template <class T>
  std::vector<T> part(const std::string& name, Dtype dtype, std::size_t dimensions) {
    const auto found = places_.find(name);
    if (found == places_.end()) refuse(path_, "tensor " + name + " is missing; write it again");
    const auto& entry = header_.entries[found->second];
    if (entry.dtype != dtype || entry.shape.size() != dimensions ||
        (dimensions == 2 && entry.shape[1] != 2)) {
      refuse(path_, "tensor " + name + " has an unexpected type or shape; write it again");
    }
    taken_[found->second] = true;
    std::vector<T> values(entry.bytes / sizeof(T));
    file_.read(header_.data_start + entry.offset, values.data(), entry.bytes);
    return values;
  }

  NamedTensors rest(bool as_weights) {
    NamedTensors tensors;
    for (std::size_t i = 0; i < header_.entries.size(); ++i) {
      const auto& entry = header_.entries[i];
      if (taken_[i] || (as_weights && entry.name.ends_with("num_batches_tracked"))) continue;
      const auto type = type_of(entry.dtype);
      if (as_weights && !at::isFloatingType(type)) {
        refuse(path_, concat("tensor ", entry.name, " is of type ", dtype_name(entry.dtype),
                             " and cannot be a weight; convert it to F32 or leave it out"));
      }
      at::Tensor tensor = at::empty(entry.shape, type);
      file_.read(header_.data_start + entry.offset, tensor.data_ptr(), entry.bytes);
      tensors.emplace_back(entry.name, as_weights ? tensor.to(at::kFloat) : tensor);
    }
    return tensors;
  }

 private:
  const std::string& path_;
  const InputFile& file_;
  const SafetensorsHeader& header_;
  std::map<std::string, std::size_t> places_;
  std::vector<bool> taken_;
};

NamedQuantized read_quantized(const Json& descriptions, Contents& contents,
                              const std::string& path) {
  if (!descriptions.is_object()) refuse(path, "its quantized tensors are not described");
  NamedQuantized quantized;
  for (const auto& [name, about] : descriptions.items()) {
    PackedTensor packed;
    packed.about = about;
    packed.codes = contents.part<uint8_t>(name + ".codes", Dtype::u8, 1);
    packed.scales = contents.part<float>(name + ".scales", Dtype::f32, 2);
    if (about.is_object() && about.value("points", Json()) == "stored") {
      packed.points = contents.part<float>(name + ".points", Dtype::f32, 1);
    }
    quantized.emplace_back(name, unpack_tensor(packed, path + ": tensor " + name));
  }
  return quantized;
}

}  // namespace

void write_model_file(const std::string& path, const ModelFile& file) {
  SafetensorsHeader header;
  std::vector<PackedTensor> packed;
  const auto add = [&](const std::string& name, Dtype dtype, std::vector<int64_t> shape) {
    header.entries.push_back({name, dtype, std::move(shape), 0, 0});
  };
  for (const auto& [name, tensor] : file.quantized) {
    packed.push_back(pack_tensor(tensor, path + ": tensor " + name));
    add(name + ".codes", Dtype::u8, {static_cast<int64_t>(packed.back().codes.size())});
  }
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const auto& name = file.quantized[i].first;
    add(name + ".scales", Dtype::f32, {static_cast<int64_t>(packed[i].scales.size() / 2), 2});
    if (packed[i].points.empty()) continue;
    add(name + ".points", Dtype::f32, {static_cast<int64_t>(packed[i].points.size())});
  }
  for (const auto& [name, tensor] : file.tensors) {
    add(name, dtype_of(tensor, path + ": tensor " + name), tensor.sizes().vec());
  }
  if (!file.about.is_null() || !packed.empty()) {
    header.metadata["bitstill"] = metadata_text(file, packed);
  }
  const std::string front = build_safetensors_header(header);
  replace_file(path, [&](const ByteSink& sink) {
    sink(front.data(), front.size());
    for (const auto& part : packed) sink(part.codes.data(), part.codes.size());
    for (const auto& part : packed) {
      sink(part.scales.data(), part.scales.size() * sizeof(float));
      sink(part.points.data(), part.points.size() * sizeof(float));
    }
    for (const auto& [name, tensor] : file.tensors) {
      const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
      sink(plain.data_ptr(), plain.nbytes());
    }
  });
}

ModelFile read_model_file(const std::string& path) {
  const InputFile input(path, ExitCode::model);
  std::string front(std::min<uint64_t>(input.size(), 64), '\0');
  input.read(0, front.data(), front.size());
  front.resize(safetensors_header_bytes(front, input.size(), path));
  input.read(0, front.data(), front.size());
  const auto header = parse_safetensors_header(front, input.size(), path);

  ModelFile file;
  file.about = parse_about(header, path);
  Contents contents(path, input, header);
  if (file.about.is_object() && file.about.contains("quantized")) {
    file.quantized = read_quantized(file.about["quantized"], contents, path);
    file.about.erase("quantized");
  }
  // A checkpoint keeps its types (counters, sums in double); weights become fp32.
  const bool checkpoint = file.about.is_object() && file.about.value("kind", "") == "checkpoint";
  file.tensors = contents.rest(!checkpoint);
  return file;
}

NamedTensors decoded_tensors(const ModelFile& file) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.emplace_back(name, tensor.to(at::kFloat));
  }
  for (const auto& [name, quantized] : file.quantized) {
    at::Tensor decoded = at::empty(quantized.shape, at::kFloat);
    decode(quantized, decoded.data_ptr<float>());
    tensors.emplace_back(name, decoded);
  }
  return tensors;
}

}  // namespace bitstill
