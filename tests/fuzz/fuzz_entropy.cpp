// Fuzz target: the entropy decoder. The input is: number of points - 1, lanes, codes (u16), the
// table's weights, the stream. The fast decoder and the reference agree on the symbols and on the
// verdict.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/codec/rans.hpp"

namespace {

/// The symbols, in two runs so that the second begins in any lane; or the error.
std::string decode(bool fast, const bitstill::SymbolTable& table, const uint8_t* stream,
                   std::size_t bytes, int lanes, std::vector<uint8_t>& symbols) {
  try {
    bitstill::RansDecoder decoder(stream, bytes, lanes, "fuzz");
    const std::size_t first = symbols.size() / 3;
    if (fast) {
      decoder.decode(table, first, symbols.data());
      decoder.decode(table, symbols.size() - first, symbols.data() + first);
    } else {
      decoder.decode_reference(table, symbols.size(), symbols.data());
    }
    decoder.finish();
  } catch (const bitstill::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::size_t points = data[0] + std::size_t{1};
  const int lanes = data[1] % 2 == 0 ? bitstill::RansDecoder::kFastLanes
                                     : 1 + data[1] % bitstill::RansDecoder::kMostLanes;
  uint16_t count = 0;
  std::memcpy(&count, data + 2, 2);
  if (size < 4 + points) return 0;
  const std::vector<uint8_t> weights(data + 4, data + 4 + points);
  if (std::all_of(weights.begin(), weights.end(), [](uint8_t weight) { return weight == 0; })) {
    return 0;
  }
  const bitstill::SymbolTable table(weights);
  const std::vector<uint8_t> stream(data + 4 + points, data + size);  // exactly as large as it is
  std::vector<uint8_t> fast(count), slow(count);
  const auto verdict = decode(true, table, stream.data(), stream.size(), lanes, fast);
  if (verdict != decode(false, table, stream.data(), stream.size(), lanes, slow)) std::abort();
  if (!verdict.empty()) return 0;
  if (fast != slow) std::abort();
  std::vector<uint8_t> codes(count * static_cast<std::size_t>(table.codes));
  bitstill::split_symbols(fast.data(), codes.size(), points, codes.data());
  if (bitstill::group_codes(codes.data(), codes.size(), points) != fast) std::abort();
  const auto again =
      bitstill::encode_rans({{&table, fast.data(), fast.size()}}, lanes);  // streams are unique
  if (again != stream) std::abort();
  return 0;
}
