#include "bitstill/base/random.hpp"

#include <bit>

namespace bitstill {
namespace {

/// FNV-1a, 64 bits: a parameter's name as a number that no platform changes.
uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char letter : name) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3u;
  }
  return hash;
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(second),
        static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(first)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::array<uint32_t, 2> stream_key(uint64_t seed, StreamPurpose purpose) {
  const auto mixed = philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
                             static_cast<uint32_t>(purpose), 0},
                            {0x62697473, 0x74696C6C});
  return {mixed[0], mixed[1]};
}

RandomStream::RandomStream(uint64_t seed, StreamPurpose purpose, uint64_t a, uint32_t b)
    : key_(stream_key(seed, purpose)),
      counter_{0, static_cast<uint32_t>(a), static_cast<uint32_t>(a >> 32), b} {}

RandomStream::RandomStream(uint64_t seed, StreamPurpose purpose, std::string_view name)
    : RandomStream(seed, purpose, hash_name(name), static_cast<uint32_t>(name.size())) {}

uint32_t RandomStream::next() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[static_cast<std::size_t>(used_++)];
}

float RandomStream::uniform() {
  return static_cast<float>(next() >> 8) * 0x1p-24f;
}

uint64_t RandomStream::below(uint64_t limit) {
  constexpr uint64_t kWords = uint64_t{1} << 32;
  if (limit <= 1) return 0;
  if (limit > kWords) {  // keep as many bits as limit - 1 has, until they are below it
    const int spare = std::countl_zero(limit - 1);
    for (;;) {
      const uint64_t high = next();
      const uint64_t drawn = (high << 32 | next()) >> spare;
      if (drawn < limit) return drawn;
    }
  }
  // Lemire 2019: the high word of a product, redrawn where some results would be too frequent.
  uint64_t product = next() * limit;
  if (static_cast<uint32_t>(product) < limit) {
    const uint64_t threshold = (kWords - limit) % limit;
    while (static_cast<uint32_t>(product) < threshold) product = next() * limit;
  }
  return product >> 32;
}

}  // namespace bitstill
