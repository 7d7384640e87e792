// Model files as bytes: plain tensors, and quantized ones packed as small as they go. Everything
// that comes from strangers is parsed here.
//
// A file with quantized tensors is a safetensors file of these entries, each left out when empty:
//   codes        U8   for each group: s table bytes, or its fixed-width codes; then the rANS stream
//   scales.TYPE  TYPE for each group whose scales are of TYPE (F32, F16, BF16): alphas, then betas
//   points       F32  for each group that stores them: s points a tensor
//   values       F32  all plain fp32 tensors, one after the other
//   NAME         plain tensors of other types
// and __metadata__["bitstill"] describes them:
//   {"format": 2, ..., "packed": {"lanes": 64, "groups": [{"points": "uniform", "s": 4,
//    "bucket": 256, "scales": "F32", "beta": true, "coding": "rans",
//    "tensors": [["0.weight", [6, 1, 3, 3]], ...]}], "plain": [["0.bias", [6]], ...]}}
// "bucket": values a scale, or "tensor" or "channel" (shape[0] of them). "points": "uniform"
// (j / (s-1)), "signed" ((j - h) / h, h = (s-1) / 2), "integers" (j - floor(s / 2)), "stored".
// "coding": "fixed" (bit_packing.hpp, ceil(log2 s) bits) or "rans" (symbol_table.hpp, rans.hpp).
// A group's codes are those of its tensors in turn, without gaps.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bitstill/base/file.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/codec/safetensors.hpp"
#include "bitstill/codec/seal.hpp"

namespace bitstill {

constexpr int64_t kModelFormat = 2;

/// A quantized tensor; with b = i / bucket, value i is
/// fl32(fl32(points[codes[i]] * alpha[b]) + beta[b]).
struct CodedTensor {
  std::string name;
  std::vector<int64_t> shape;
  int64_t count = 0, bucket = 1;
  std::vector<float> points;       // 1..256
  std::vector<float> alpha, beta;  // one each a bucket, finite
  std::vector<uint8_t> codes;      // one byte a value, below points.size()
  double code_bytes = 0;   // read files: its part of the codes, by the table it is coded with
  double scale_bytes = 0;  // read files: of alpha, beta and points
};

/// A plain tensor to be written; its elements stay the caller's.
struct PlainTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;
  const void* data = nullptr;
};

/// Writes a model file, which carries its SHA-256 (seal.hpp); that of a large one is computed while
/// its bytes are written, and put in its place at the end. `about` becomes its description (null
/// and no coded tensor: none). Error(model) naming `where` when a tensor's parts do not fit each
/// other, or when the description takes more than the 1 MiB that readers accept.
SealedFile write_packed_model(const std::string& where, const Json& about,
                              const std::vector<PlainTensor>& plain,
                              const std::vector<CodedTensor>& coded, ByteSink& sink);

/// Where a file's bytes come from; read() gets exactly what it asks for, within `size`.
struct ByteSource {
  uint64_t size = 0;
  std::function<void(uint64_t offset, void* bytes, std::size_t count)> read;
};

/// What stands before a model file's tensors.
// NOLINTNEXTLINE(bugprone-exception-escape): moving JSON asserts, it never throws
struct ModelFront {
  SafetensorsHeader header;
  Json about;  // with "packed" where tensors are packed; null when the file has no description
  Json input;  // as PackedModel's
};
/// Reads and checks it alone. Error(model) as read_packed_model's.
ModelFront read_model_front(const ByteSource& source, const std::string& where);

/// The file's bytes from `offset` on, as far as they lie in memory; empty: they must be read.
using BytesInMemory = std::function<std::string_view(uint64_t offset)>;

/// Reads all of it, but for what is in memory. Error(model) when its bytes do not have the SHA-256
/// that it carries, which is the answer; empty where it carries none. Also as read_model_front's.
std::string verify_packed_model(const ByteSource& source, const std::string& where,
                                const BytesInMemory& in_memory = {});

/// Called for each plain tensor: the place for its bytes (any alignment), or null to skip it.
using PlaceTensor =
    std::function<void*(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape)>;

// NOLINTNEXTLINE(bugprone-exception-escape): moving JSON asserts, it never throws
struct PackedModel {
  Json about;  // without "packed"; null when the file has no description
  Json input;  // what a file of another program says of its input; null when it does not
  std::vector<CodedTensor> coded;
  uint64_t header_bytes = 0, code_bytes = 0, scale_bytes = 0, point_bytes = 0;  // of the file
};

/// Reads and checks everything, sizes before memory is taken: what the file declares, and little
/// more (64 MiB while the header is below some MB); at most kMostCodesPerByte values a
/// byte of codes. Error(model) names the file `where`, what is wrong and how to mend it: truncated,
/// foreign, of an older or a future version, damaged.
PackedModel read_packed_model(const ByteSource& source, const std::string& where,
                              const PlaceTensor& place);
/// The same of a file whose front has been read.
PackedModel read_packed_model(ModelFront front, const ByteSource& source, const std::string& where,
                              const PlaceTensor& place);
constexpr uint64_t kMostCodesPerByte = 1024;

}  // namespace bitstill
