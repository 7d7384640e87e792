#include "bitstill/comm/gather_text.hpp"

#include <utility>

namespace bitstill {
namespace {

void send_text(Communicator& comm, const std::string& text) {
  const auto length = static_cast<int64_t>(text.size());
  comm.send(&length, 1, ElementType::i64, 0);
  if (length > 0) comm.send(text.data(), length, ElementType::u8, 0);
}

std::string receive_text(Communicator& comm, int from) {
  int64_t length = 0;
  comm.receive(&length, 1, ElementType::i64, from);
  std::string text(static_cast<std::size_t>(length), '\0');
  if (length > 0) comm.receive(text.data(), length, ElementType::u8, from);
  return text;
}

}  // namespace

std::vector<std::string> gather_text(Communicator& comm, std::string mine) {
  std::vector<std::string> texts;
  if (comm.rank() != 0) {
    send_text(comm, mine);
    return texts;
  }
  texts.push_back(std::move(mine));
  for (int rank = 1; rank < comm.world(); ++rank) texts.push_back(receive_text(comm, rank));
  return texts;
}

}  // namespace bitstill
