// Up a binomial tree: rank 0 hears from as many others as the logarithm of their number.
#include "bitstill/comm/gather_text.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bitstill {
namespace {

using Texts = std::vector<std::string>;

void send_texts(Communicator& comm, const Texts& texts, int to) {
  std::vector<int64_t> lengths;
  std::string all;
  for (const std::string& text : texts) {
    lengths.push_back(static_cast<int64_t>(text.size()));
    all += text;
  }
  comm.send(lengths.data(), static_cast<int64_t>(lengths.size()), ElementType::i64, to);
  if (!all.empty()) comm.send(all.data(), static_cast<int64_t>(all.size()), ElementType::u8, to);
}

void receive_texts(Communicator& comm, Texts& texts, int count, int from) {
  std::vector<int64_t> lengths(static_cast<std::size_t>(count));
  comm.receive(lengths.data(), count, ElementType::i64, from);
  const int64_t length = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::string all(static_cast<std::size_t>(length), '\0');
  if (length > 0) comm.receive(all.data(), length, ElementType::u8, from);
  std::size_t at = 0;
  for (const int64_t one : lengths) {
    texts.push_back(all.substr(at, static_cast<std::size_t>(one)));
    at += static_cast<std::size_t>(one);
  }
}

}  // namespace

std::vector<std::string> gather_text(Communicator& comm, std::string mine) {
  Texts texts;
  texts.push_back(std::move(mine));
  // Before the round of `step` a rank whose number it divides has the texts of `step` ranks.
  for (int step = 1; step < comm.world(); step *= 2) {
    if (comm.rank() % (2 * step) != 0) {
      send_texts(comm, texts, comm.rank() - step);
      return {};
    }
    const int from = comm.rank() + step;
    if (from < comm.world()) {
      receive_texts(comm, texts, std::min(step, comm.world() - from), from);
    }
  }
  return texts;
}

}  // namespace bitstill
