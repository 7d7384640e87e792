// Tensors to the bytes of a model file and back; codec writes and parses these.
#include "bitstill/store/model_file.hpp"

#include <ATen/ops/empty.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <tuple>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "followed_source.hpp"
#include "scalar_types.hpp"

namespace bitstill {
namespace {

constexpr std::pair<Dtype, at::ScalarType> kTypes[] = {
    {Dtype::f64, at::kDouble},    {Dtype::f32, at::kFloat}, {Dtype::f16, at::kHalf},
    {Dtype::bf16, at::kBFloat16}, {Dtype::i64, at::kLong},  {Dtype::i32, at::kInt},
    {Dtype::i16, at::kShort},     {Dtype::i8, at::kChar},   {Dtype::u8, at::kByte},
    {Dtype::boolean, at::kBool}};

Dtype dtype_of(const at::Tensor& tensor, const std::string& where) {
  for (const auto& [dtype, type] : kTypes) {
    if (tensor.scalar_type() == type) return dtype;
  }
  throw Error(ExitCode::model,
              concat(where, ": tensors of type ", tensor.scalar_type(), " cannot be stored"));
}

/// A checkpoint keeps its types (counters, sums in double); weights become fp32.
void make_weights(NamedTensors& tensors, const std::string& path) {
  std::erase_if(tensors,
                [](const auto& named) { return named.first.ends_with("num_batches_tracked"); });
  for (auto& [name, tensor] : tensors) {
    if (!at::isFloatingType(tensor.scalar_type())) {
      throw Error(
          ExitCode::model,
          concat(path, ": tensor ", name, " is of type ", dtype_name(dtype_of(tensor, path)),
                 " and cannot be a weight; convert it to F32 or leave it out"));
    }
    tensor = tensor.to(at::kFloat);
  }
}

/// Moves what is attached from the tensors to its own list.
void take_attached(ModelFile& file, const std::string& path) {
  NamedTensors rest;
  for (auto& named : file.tensors) {
    const bool moves = attaches(named.first, dtype_of(named.second, path));
    (moves ? file.attached : rest).push_back(std::move(named));
  }
  file.tensors = std::move(rest);
}

SealedFile put_model_file(const std::string& path, const ModelFile& file, ByteSink& sink) {
  std::vector<at::Tensor> held;  // what `plain` points into
  std::vector<PlainTensor> plain;
  for (const NamedTensors* list : {&file.tensors, &file.attached}) {
    for (const auto& [name, tensor] : *list) {
      held.push_back(tensor.detach().to(at::kCPU).contiguous());
      plain.push_back({name, dtype_of(tensor, path + ": tensor " + name), tensor.sizes().vec(),
                       held.back().data_ptr()});
    }
  }
  std::vector<CodedTensor> coded;
  for (const auto& [name, tensor] : file.quantized) {
    coded.push_back({name, tensor.shape, tensor.count, tensor.bucket, tensor.points, tensor.alpha,
                     tensor.beta, tensor.codes, 0, 0});
  }
  return write_packed_model(path, file.about, plain, coded, sink);
}

/// Takes bytes and keeps none.
class NoSink final : public ByteSink {
  void append(const void* /*bytes*/, std::size_t /*count*/) override {}
  void overwrite(uint64_t /*offset*/, std::string_view /*bytes*/) override {}
};

constexpr uint64_t kLargeBytes = 4 << 20;  // hashed while they are read; worth large pages

std::atomic<bool> verifies{true};

ByteSource source_of(const InputFile& input) {
  return {input.size(), [&input](uint64_t offset, void* bytes, std::size_t count) {
            input.read(offset, bytes, count);
          }};
}

/// Memory of a size that the system takes in large pages, if asked to: they are faster to come by.
void expect_large(const at::Tensor& tensor) {
  if (tensor.nbytes() < kLargeBytes) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.data_ptr()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(tensor.data_ptr()) + tensor.nbytes();
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // or not
}

/// Hashes a large file beside reading it: where tensors are not packed, from their memory.
std::pair<PackedModel, std::string> read_and_verify(const ByteSource& source,
                                                    const std::string& path,
                                                    const PlaceTensor& place) {
  constexpr auto kBeside = std::launch::async | std::launch::deferred;  // where a thread can be had
  ModelFront front;
  try {
    front = read_model_front(source, path);
  } catch (const Error&) {
    verify_packed_model(source, path);  // its error says more
    throw;
  }
  FollowedSource followed(source, front.header.data_start);
  const bool plain = !front.about.is_object() || !front.about.contains("packed");
  BytesInMemory in_memory;
  if (plain) in_memory = [&](uint64_t offset) { return followed.from(offset); };
  auto seal = std::async(kBeside, [&] { return verify_packed_model(source, path, in_memory); });
  PackedModel packed;
  std::exception_ptr failure;
  try {
    packed = read_packed_model(std::move(front), plain ? followed.reader() : source, path, place);
  } catch (...) {
    failure = std::current_exception();
  }
  followed.close();
  std::string sha256 = seal.get();  // its error says more
  if (failure) std::rethrow_exception(failure);
  return {std::move(packed), std::move(sha256)};
}

void tell_of_unsealed(const std::string& path) {
  static std::atomic<bool> told{false};
  if (told.exchange(true)) return;
  warn(path + ": an earlier version wrote it, without the SHA-256 by which damage is found");
}

}  // namespace

at::ScalarType scalar_type_of(Dtype dtype) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const auto& pair) { return pair.first == dtype; });
  return found->second;
}

bool attaches(const std::string& name, Dtype dtype) {
  return dtype == Dtype::u8 && name.starts_with("vocabulary.");
}

SealedFile write_model_file(const std::string& path, const ModelFile& file, PageCache cache) {
  SealedFile written;
  replace_file(
      path, [&](ByteSink& sink) { written = put_model_file(path, file, sink); }, cache);
  return written;
}

void believe_model_files() {
  verifies = false;
}

bool verifies_model_files() {
  return verifies;
}

std::string verify_model_file(const std::string& path) {
  if (!verifies) return "";
  const InputFile input(path, ExitCode::model);
  return verify_packed_model(source_of(input), path);
}

uint64_t model_file_bytes(const ModelFile& file) {
  NoSink sink;
  return put_model_file("a model file", file, sink).bytes;
}

ModelFile read_model_file(const std::string& path) {
  if (is_checkpoint(path)) return read_checkpoint(path);
  const InputFile input(path, ExitCode::model);
  const ByteSource source = source_of(input);
  ModelFile file;
  const PlaceTensor place = [&](const std::string& name, Dtype dtype,
                                const std::vector<int64_t>& shape) {
    at::Tensor& tensor =
        file.tensors.emplace_back(name, at::empty(shape, scalar_type_of(dtype))).second;
    expect_large(tensor);
    return tensor.data_ptr();
  };
  PackedModel packed;
  if (input.size() < kLargeBytes || !verifies) {
    if (verifies) file.sha256 = verify_packed_model(source, path);
    packed = read_packed_model(source, path, place);
  } else {
    std::tie(packed, file.sha256) = read_and_verify(source, path, place);
  }
  file.about = std::move(packed.about);
  if (verifies && file.sha256.empty() && file.about.is_object()) tell_of_unsealed(path);
  file.input = std::move(packed.input);
  file.sizes = {input.size(),       packed.header_bytes, packed.code_bytes,
                packed.scale_bytes, packed.point_bytes,  {}};
  for (CodedTensor& one : packed.coded) {
    file.sizes.tensors.push_back({one.code_bytes, one.scale_bytes});
    file.quantized.emplace_back(
        std::move(one.name),
        QuantizedTensor{std::move(one.shape), one.count, one.bucket, std::move(one.points),
                        std::move(one.alpha), std::move(one.beta), std::move(one.codes)});
  }
  take_attached(file, path);
  const bool checkpoint = file.about.is_object() && file.about.value("kind", "") == "checkpoint";
  if (!checkpoint) make_weights(file.tensors, path);
  return file;
}

bool holds_quantized_values(const ModelFile& file) {
  if (!file.quantized.empty()) return true;
  const Json& about = file.about;
  if (!about.is_object() || !about.contains("quantizer") || about["quantizer"].is_null()) {
    return false;
  }
  const std::string kind = about.value("kind", "");
  return kind == "student" || kind == "decoded";
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
