#include "slices.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "bitstill/comm/agree.hpp"
#include "bitstill/teacher/layout_choice.hpp"

namespace bitstill {
std::vector<int64_t> Slices::gathered_bytes() const {
  std::vector<int64_t> all;
  for (const int64_t slice : bytes) all.push_back(slice * world);
  return all;
}

EventPtr gather(Channel& channel, const Slices& slices, std::size_t piece, const at::Tensor& all) {
  // A lane that is left behind may still write.
  auto memory = std::make_shared<std::pair<at::Tensor, at::Tensor>>(slices.mine, all);
  const uint8_t* const mine = slices.mine.const_data_ptr<uint8_t>() + slices.offset[piece];
  return channel.all_gather(mine, all.mutable_data_ptr(), slices.bytes[piece], nullptr,
                            std::move(memory));
}

Slices read_slices(const Piecewise& network, TensorSource& source, Communicator& comm) {
  const auto count = static_cast<int64_t>(network.pieces().size());
  const int world = comm.world(), rank = comm.rank();
  Slices slices;
  slices.world = world;
  int64_t total = 0;
  for (const Piece& piece : network.pieces()) {
    slices.offset.push_back(total);
    slices.bytes.push_back(slice_bytes(piece.plain_bytes, world));
    total += slices.bytes.back();
  }
  slices.mine = at::empty({total}, at::kByte);
  uint8_t* const mine = slices.mine.mutable_data_ptr<uint8_t>();
  for (int64_t first = 0; first < count; first += world) {
    at::Tensor whole;  // of the piece that this rank reads
    agree(comm, [&] {
      if (first + rank >= count) return;
      const auto piece = static_cast<std::size_t>(first + rank);
      whole = at::zeros({slices.bytes[piece] * world}, at::kByte);
      network.read(piece, source, whole.mutable_data_ptr());
    });
    for (int owner = 0; owner < world && first + owner < count; ++owner) {
      const auto piece = static_cast<std::size_t>(first + owner);
      const int64_t bytes = slices.bytes[piece];
      uint8_t* const to = mine + slices.offset[piece];
      if (owner != rank) {
        comm.receive(to, bytes, ElementType::u8, owner);
        continue;
      }
      const auto* const from = whole.const_data_ptr<uint8_t>();
      for (int other = 0; other < world; ++other) {
        if (other != rank) comm.send(from + other * bytes, bytes, ElementType::u8, other);
      }
      std::memcpy(to, from + rank * bytes, static_cast<std::size_t>(bytes));
    }
  }
  return slices;
}

}  // namespace bitstill
