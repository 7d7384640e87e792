#include "bitstill/train/coded_sum.hpp"

#include <algorithm>

#include "bitstill/base/random.hpp"
#include "bitstill/quant/gradient_codes.hpp"

namespace bitstill {
namespace {

/// A value is rounded on its way to the owner, its sum on the way back.
enum class Way : uint64_t { there, back };

constexpr int kStepBits = 40;

/// Equal parts of whole groups, the last ones shorter or empty.
class Parts {
 public:
  Parts(int64_t count, int world) : count_(count) {
    const int64_t groups = (count + kGradientGroup - 1) / kGradientGroup;
    longest_ = (groups + world - 1) / world * kGradientGroup;
  }
  Range of(int rank) const {
    const int64_t begin = std::min(rank * longest_, count_);
    return {begin, std::min(longest_, count_ - begin)};
  }
  int64_t bytes() const { return gradient_code_bytes(longest_); }

 private:
  int64_t count_, longest_;
};

}  // namespace

CodedSum::CodedSum(uint64_t seed) : key_(stream_key(seed, StreamPurpose::exchange)) {}

void CodedSum::sum(Communicator& comm, float* values, const Range& chunk, int64_t step) {
  const int world = comm.world(), rank = comm.rank();
  if (world == 1) return;
  const Parts parts(chunk.count, world);
  const int64_t bytes = parts.bytes();
  mine_.resize(static_cast<std::size_t>(bytes * world));
  theirs_.resize(mine_.size());
  const auto encode = [&](const Range& part, Way way, uint8_t* coded) {
    const uint64_t who = 2 * static_cast<uint64_t>(rank) + static_cast<uint64_t>(way);
    const RoundingStream stream{key_, who << kStepBits | static_cast<uint64_t>(step),
                                static_cast<uint64_t>(chunk.offset + part.offset)};
    encode_gradients(values + part.offset, part.count, stream, coded);
  };
  for (int r = 0; r < world; ++r) {
    if (r != rank) encode(parts.of(r), Way::there, mine_.data() + r * bytes);
  }
  comm.all_to_all(mine_.data(), theirs_.data(), bytes, ElementType::u8);
  const Range own = parts.of(rank);
  for (int r = 0; r < world; ++r) {
    if (r != rank) add_gradients(theirs_.data() + r * bytes, own.count, values + own.offset);
  }
  encode(own, Way::back, mine_.data());
  comm.all_gather(mine_.data(), theirs_.data(), bytes, ElementType::u8);
  for (int r = 0; r < world; ++r) {
    const Range part = parts.of(r);
    decode_gradients(theirs_.data() + r * bytes, part.count, values + part.offset);
  }
}

}  // namespace bitstill
