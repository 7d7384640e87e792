// Model files: safetensors that describe themselves, plain (fp32) or packed (codes, scales,
// points); codec/packed_model.hpp has the bytes.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/file.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/codec/manifest.hpp"
#include "bitstill/codec/packed_model.hpp"
#include "bitstill/quant/quantizer.hpp"

namespace bitstill {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;
using NamedQuantized = std::vector<std::pair<std::string, QuantizedTensor>>;

/// What a file that was read takes on disk, in bytes; `tensors` as `quantized`, in its order.
struct ModelFileSizes {
  uint64_t file = 0, header = 0, codes = 0, scales = 0, points = 0;
  struct Share {
    double codes = 0, scales = 0;  // scales: alpha, beta and stored points
  };
  std::vector<Share> tensors;
};

/// What __metadata__ holds under the key "bitstill", as JSON text. A file without it is a plain
/// PyTorch file. Members: format (kModelFormat), kind ("weights" | "student" | "decoded": a
/// student's values as fp32 | "checkpoint"), network (spec), normalization, classes (names),
/// quantizer (describe(), or null), evaluation (how images are resized and cropped for it:
/// infer's evaluation_crop), data (fingerprint), and whatever else the writer adds.
/// A plain file may say of its input what it cannot of its network, as JSON under "bitstill_input":
/// {"normalization": {"mean": [...], "std": [...]}, "input": {"channels": .., "height": ..,
/// "width": ..}, "classes": [names], "evaluation": {...}}, each of them or not.
struct ModelFile {
  Json about;                 // null when the file does not say
  NamedTensors tensors;       // CPU, contiguous, in file order; packed ones are not here
  NamedQuantized quantized;   // packed tensors (kind "student"), kinds together
  ModelFileSizes sizes = {};  // only of files that were read
  Json input = {};            // only of files that were read: what a plain PyTorch file says, below
  NamedTensors attached =
      {};                   // vocabularies: bytes that are no weights, in file order (attaches())
  std::string sha256 = {};  // only of files that were read: what it carries; empty: nothing
};

/// Whether a tensor is no weight but belongs to what the network is for, and goes unchanged into
/// whatever is made of the file: bytes (U8) named "vocabulary...." (infer/model_vocabulary.hpp).
bool attaches(const std::string& name, Dtype dtype);

/// Writes (through replace_file; one rank). Error(storage).
SealedFile write_model_file(const std::string& path, const ModelFile& file,
                            PageCache cache = PageCache::keep);

/// How many bytes write_model_file would write.
uint64_t model_file_bytes(const ModelFile& file);

/// From now on this process believes model files without comparing their bytes with the SHA-256
/// that they carry (--no-verify): huge ones take their time.
void believe_model_files();
bool verifies_model_files();

/// The SHA-256 that a model file carries, compared with all its bytes; empty where it carries none
/// (of one that an earlier version wrote: said once). Error(model).
std::string verify_model_file(const std::string& path);

/// Reads and checks everything: the SHA-256 that it carries (verify_model_file), bounded header
/// (100 MB and not above the file), no duplicate keys, offsets that tile the data exactly, known
/// types, finite scales. Error(model) names the file, what is wrong and how to mend it: missing,
/// truncated, foreign, damaged, of a future version. A checkpoint's folder is read as one file.
ModelFile read_model_file(const std::string& path);

/// Whether the weights are values that a quantizer made: packed, or decoded by bitstill export.
bool holds_quantized_values(const ModelFile& file);

/// All tensors as fp32 by name: the plain ones, and the packed ones decoded.
NamedTensors decoded_tensors(const ModelFile& file);

}  // namespace bitstill
