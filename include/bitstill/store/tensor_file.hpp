// A model file whose tensors are read by rows, for networks that fit no one's memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <map>
#include <string>

#include "bitstill/base/file.hpp"
#include "bitstill/codec/packed_model.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

/// Whether tensors of this type can be weights.
bool is_floating(Dtype dtype);

/// The header is read once; of the tensors only what is asked for. Safe to use from several
/// threads.
class TensorFile {
 public:
  /// Error(model) as read_model_file's for the file's front, and for a packed file, whose tensors
  /// cannot be read by rows.
  explicit TensorFile(const std::string& path);

  const std::string& path() const { return path_; }
  const ModelFront& front() const { return front_; }
  /// Bytes read so far, the header's included.
  uint64_t bytes_read() const { return bytes_read_; }

  /// Rows [first, first + count) of the tensor's first dimension as fp32: contiguous, on the CPU.
  /// Error(model) for a tensor that the file does not hold, of another kind than floating, or with
  /// fewer rows; and when the file has become shorter.
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) const;
  at::Tensor whole(const std::string& name) const;
  /// The file's bytes that are no weights (ModelFile::attached).
  NamedTensors attached() const;

 private:
  at::Tensor read(const SafetensorsEntry& entry, int64_t first, int64_t count) const;
  const SafetensorsEntry& entry_of(const std::string& name) const;

  std::string path_;
  InputFile input_;
  ModelFront front_;
  std::map<std::string, const SafetensorsEntry*> entries_;
  mutable std::atomic<uint64_t> bytes_read_ = 0;
};

}  // namespace bitstill
