#include "bitstill/store/tensor_file.hpp"

#include <ATen/ops/empty.h>

#include "bitstill/base/text.hpp"
#include "scalar_types.hpp"

namespace bitstill {

bool is_floating(Dtype dtype) {
  return at::isFloatingType(scalar_type_of(dtype));
}

TensorFile::TensorFile(const std::string& path) : path_(path), input_(path, ExitCode::model) {
  front_ = read_model_front(
      {input_.size(), [this](uint64_t offset, void* bytes,
                             std::size_t count) { input_.read(offset, bytes, count); }},
      path);
  bytes_read_ = front_.header.data_start;
  if (front_.about.is_object() && front_.about.contains("packed")) {
    throw Error(ExitCode::model,
                concat(path,
                       " is packed, and its tensors cannot be read in parts; export it first: "
                       "bitstill export"));
  }
  for (const SafetensorsEntry& entry : front_.header.entries) entries_[entry.name] = &entry;
}

const SafetensorsEntry& TensorFile::entry_of(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !is_floating(found->second->dtype)) {
    throw Error(ExitCode::model, concat(path_, ": holds no weights ", name));
  }
  return *found->second;
}

at::Tensor TensorFile::rows(const std::string& name, int64_t first, int64_t count) const {
  const SafetensorsEntry& entry = entry_of(name);
  if (entry.shape.empty() || first < 0 || count < 0 || first > entry.shape[0] - count) {
    throw Error(ExitCode::model,
                concat(path_, ": tensor ", name, " has no rows ", first, " to ", first + count));
  }
  return read(entry, first, count).to(at::kFloat);
}

at::Tensor TensorFile::read(const SafetensorsEntry& entry, int64_t first, int64_t count) const {
  std::vector<int64_t> shape = entry.shape;
  shape[0] = count;
  at::Tensor rows = at::empty(shape, scalar_type_of(entry.dtype));
  const uint64_t row_bytes =
      entry.shape[0] == 0 ? 0 : entry.bytes / static_cast<uint64_t>(entry.shape[0]);
  const uint64_t bytes = row_bytes * static_cast<uint64_t>(count);
  if (bytes > 0) {
    input_.read(front_.header.data_start + entry.offset + row_bytes * static_cast<uint64_t>(first),
                rows.mutable_data_ptr(), bytes);
    bytes_read_ += bytes;
  }
  return rows;
}

NamedTensors TensorFile::attached() const {
  NamedTensors tensors;
  for (const SafetensorsEntry& entry : front_.header.entries) {
    if (attaches(entry.name, entry.dtype) && entry.shape.size() == 1) {
      tensors.emplace_back(entry.name, read(entry, 0, entry.shape[0]));
    }
  }
  return tensors;
}

at::Tensor TensorFile::whole(const std::string& name) const {
  const SafetensorsEntry& entry = entry_of(name);
  return rows(name, 0, entry.shape.empty() ? 0 : entry.shape[0]);
}

}  // namespace bitstill
