#include "bitstill/infer/sentence_lengths.hpp"

#include "bitstill/comm/agree.hpp"

namespace bitstill {

std::vector<SentenceLengths> lengths_for_all(const Dataset& dataset, Split split,
                                             Communicator& comm) {
  std::vector<SentenceLengths> lengths(static_cast<std::size_t>(dataset.size(split)));
  agree(comm, [&] {
    if (comm.rank() == 0) lengths = dataset.lengths(split);
  });
  static_assert(sizeof(SentenceLengths) == sizeof(int64_t));
  comm.broadcast(lengths.data(), static_cast<int64_t>(lengths.size()), ElementType::i64, 0);
  return lengths;
}

}  // namespace bitstill
