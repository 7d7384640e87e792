#include "bitstill/codec/rans.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

static_assert(std::endian::native == std::endian::little, "words are taken as little-endian");

constexpr uint32_t kLow = 1U << 16;  // a state is never below
constexpr uint32_t kMask = SymbolTable::kTotal - 1;

[[noreturn]] void refuse(const std::string& where, const char* what) {
  throw Error(ExitCode::model,
              where + ": " + what + "; the file is damaged: copy or write it again");
}

}  // namespace

std::vector<uint8_t> encode_rans(const std::vector<SymbolRun>& runs, int lanes) {
  const auto width = static_cast<std::size_t>(lanes);
  std::vector<uint32_t> states(width, kLow);
  std::vector<uint16_t> words;  // last one first: the coder runs backwards
  std::size_t total = 0;
  for (const SymbolRun& run : runs) total += run.count;
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    for (std::size_t i = run->count; i-- > 0;) {
      const std::size_t symbol = run->symbols[i];
      const uint32_t frequency = run->table->frequency[symbol];
      uint32_t& x = states[--total % width];
      if (x >= uint64_t{frequency} << (32 - SymbolTable::kTotalBits)) {
        words.push_back(static_cast<uint16_t>(x));
        x >>= 16;
      }
      x = (x / frequency << SymbolTable::kTotalBits) + x % frequency + run->table->start[symbol];
    }
  }
  std::reverse(words.begin(), words.end());
  std::vector<uint8_t> stream(states.size() * sizeof(uint32_t) + words.size() * sizeof(uint16_t));
  std::memcpy(stream.data(), states.data(), states.size() * sizeof(uint32_t));
  if (!words.empty()) {
    std::memcpy(stream.data() + states.size() * sizeof(uint32_t), words.data(),
                words.size() * sizeof(uint16_t));
  }
  return stream;
}

RansDecoder::RansDecoder(const uint8_t* stream, std::size_t bytes, int lanes, std::string where)
    : where_(std::move(where)) {
  const std::size_t states = static_cast<std::size_t>(lanes) * sizeof(uint32_t);
  if (bytes < states || (bytes - states) % sizeof(uint16_t) != 0) {
    refuse(where_, "its coded stream is too short or of an odd size");
  }
  states_.resize(static_cast<std::size_t>(lanes));
  std::memcpy(states_.data(), stream, states);
  if (std::any_of(states_.begin(), states_.end(), [](uint32_t x) { return x < kLow; })) {
    refuse(where_, "its coded stream begins with an impossible state");
  }
  next_ = stream + states;
  end_ = stream + bytes;
}

void RansDecoder::decode_reference(const SymbolTable& table, std::size_t count, uint8_t* symbols) {
  for (std::size_t i = 0; i < count; ++i) {
    uint32_t& x = states_[lane_];
    lane_ = lane_ + 1 == states_.size() ? 0 : lane_ + 1;
    const uint32_t slot = table.slots[x & kMask];
    x = ((slot >> 20) + 1) * (x >> SymbolTable::kTotalBits) + (slot >> 8 & kMask);
    symbols[i] = static_cast<uint8_t>(slot);
    if (x >= kLow) continue;
    if (next_ == end_) refuse(where_, "its coded stream ends too early");
    uint16_t word;
    std::memcpy(&word, next_, sizeof word);
    next_ += sizeof word;
    x = x << 16 | word;
  }
}

void RansDecoder::decode(const SymbolTable& table, std::size_t count, uint8_t* symbols) {
  if (states_.size() == kFastLanes) {
    const std::size_t head = std::min(count, (kFastLanes - lane_) % kFastLanes);
    decode_reference(table, head, symbols);
    symbols += head;
    count -= head;
    if (count >= kFastLanes) {
      RansRun run{&table, states_.data(), next_, end_};
      for (const auto& rounds : {search_rans_rounds, decode_rans_rounds}) {
        const std::size_t done = kFastLanes * rounds(run, count / kFastLanes, symbols);
        symbols += done;
        count -= done;
      }
      next_ = run.next;
    }
  }
  decode_reference(table, count, symbols);
}

void RansDecoder::finish() const {
  if (next_ != end_) refuse(where_, "its coded stream holds more than its codes");
  if (std::any_of(states_.begin(), states_.end(), [](uint32_t x) { return x != kLow; })) {
    refuse(where_, "its coded stream does not end as it must");
  }
}

}  // namespace bitstill
