#include "bitstill/train/snapshot.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cstring>

namespace bitstill {
namespace {

constexpr int64_t kAlign = 64;

int64_t room_for(const at::Tensor& tensor) {
  return (static_cast<int64_t>(tensor.nbytes()) + kAlign - 1) / kAlign * kAlign;
}

}  // namespace

void Snapshot::take(const ModelFile& file) {
  copy_ = {file.about, {}, {}};
  copy_.attached = file.attached;
  bytes_ = 0;
  int64_t room = 0;
  for (const auto& [name, tensor] : file.tensors) room += room_for(tensor);
  if (!memory_.defined() || memory_.numel() < room) memory_ = at::empty({room}, at::kByte);
  auto* next = static_cast<char*>(memory_.mutable_data_ptr());
  for (const auto& [name, tensor] : file.tensors) {
    const at::Tensor from = tensor.detach().cpu().contiguous();
    if (from.nbytes() > 0) std::memcpy(next, from.const_data_ptr(), from.nbytes());
    copy_.tensors.emplace_back(name, at::from_blob(next, from.sizes(), from.scalar_type()));
    bytes_ += static_cast<int64_t>(from.nbytes());
    next += room_for(from);
  }
}

}  // namespace bitstill
