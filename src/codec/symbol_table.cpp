#include "bitstill/codec/symbol_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "bitstill/codec/bit_packing.hpp"

namespace bitstill {
namespace {

constexpr int kUnitBits = 16;  // a probability of 1 while they are multiplied

/// Probabilities of single codes in units of 2^-16: 0 stays 0, everything else is at least 1.
std::vector<uint64_t> shares(const std::vector<uint8_t>& weights) {
  std::vector<uint64_t> result(weights.size());
  std::transform(weights.begin(), weights.end(), result.begin(), weight_of);
  const uint64_t sum = std::accumulate(result.begin(), result.end(), uint64_t{0});
  for (auto& share : result) {
    if (share > 0) share = std::max<uint64_t>(1, (share << kUnitBits) / sum);
  }
  return result;
}

/// Of symbols: products of their codes' shares. The last code of a symbol is its highest digit.
std::vector<uint64_t> products(const std::vector<uint64_t>& single, int codes) {
  std::vector<uint64_t> result = single;
  for (int digit = 1; digit < codes; ++digit) {
    std::vector<uint64_t> longer;
    longer.reserve(result.size() * single.size());
    for (const uint64_t high : single) {
      for (const uint64_t low : result) {
        const uint64_t product = high * low;
        longer.push_back(product == 0 ? 0 : std::max<uint64_t>(1, product >> kUnitBits));
      }
    }
    result = std::move(longer);
  }
  return result;
}

/// Frequencies that add to kTotal exactly: 1 for each symbol that may occur, and the rest in
/// proportion to what its share is above 1, rounded so that the running sums are nearest below.
std::vector<uint32_t> frequencies(const std::vector<uint64_t>& share) {
  const uint64_t sum = std::accumulate(share.begin(), share.end(), uint64_t{0});
  const auto present = static_cast<uint64_t>(
      std::count_if(share.begin(), share.end(), [](uint64_t value) { return value > 0; }));
  std::vector<uint64_t> excess(share.size());
  std::transform(share.begin(), share.end(), excess.begin(),
                 [&](uint64_t value) { return std::max(value * SymbolTable::kTotal, sum) - sum; });
  const uint64_t all = std::accumulate(excess.begin(), excess.end(), uint64_t{0});  // > 0
  const uint64_t rest = SymbolTable::kTotal - present;
  std::vector<uint32_t> result;
  uint64_t running = 0;
  for (std::size_t symbol = 0; symbol < share.size(); ++symbol) {
    const uint64_t before = running * rest / all;
    running += excess[symbol];
    const uint64_t more = running * rest / all - before;
    result.push_back(static_cast<uint32_t>(share[symbol] > 0 ? 1 + more : 0));
  }
  return result;
}

}  // namespace

int codes_per_symbol(std::size_t points) {
  int codes = 1;
  for (std::size_t symbols = points * points; points > 1 && symbols <= 256; symbols *= points) {
    ++codes;
  }
  return points < 2 ? 8 : codes;
}

uint32_t weight_of(uint8_t byte) {
  return byte < 16 ? byte : (16U + byte % 16U) << (byte / 16 - 1);
}

std::vector<uint8_t> fit_weights(const std::vector<uint64_t>& counts) {
  const uint64_t most = std::max<uint64_t>(1, *std::max_element(counts.begin(), counts.end()));
  const double scale = static_cast<double>(weight_of(255)) / static_cast<double>(most);
  std::vector<uint8_t> weights;
  for (const uint64_t count : counts) {
    const double wanted = static_cast<double>(count) * scale;
    int byte = count > 0 ? 1 : 0;
    while (count > 0 && byte < 255) {  // the nearest
      const double half =
          0.5 * (weight_of(static_cast<uint8_t>(byte)) + weight_of(static_cast<uint8_t>(byte + 1)));
      if (wanted < half) break;
      ++byte;
    }
    weights.push_back(static_cast<uint8_t>(byte));
  }
  return weights;
}

SymbolTable::SymbolTable(const std::vector<uint8_t>& weights)
    : codes(codes_per_symbol(weights.size())),
      points(weights.size()),
      frequency(frequencies(products(shares(weights), codes))) {
  uint32_t next = 0;
  for (std::size_t symbol = 0; symbol < frequency.size(); ++symbol) {
    start.push_back(next);
    for (uint32_t i = 0; i < frequency[symbol]; ++i) {
      slots[next + i] = static_cast<uint32_t>(symbol) | i << 8 | (frequency[symbol] - 1) << 20;
    }
    next += frequency[symbol];
  }
}

double coded_bits(const std::vector<uint64_t>& counts, const std::vector<uint8_t>& weights) {
  double sum = 0, bits = 0;
  for (const uint8_t byte : weights) sum += weight_of(byte);
  for (std::size_t code = 0; code < counts.size(); ++code) {
    if (counts[code] == 0) continue;
    const double weight = weight_of(weights[code]);
    if (weight == 0) return std::numeric_limits<double>::infinity();
    bits += static_cast<double>(counts[code]) * std::log2(sum / weight);
  }
  return bits;
}

namespace {

/// Two codes a symbol: the division is a multiplication, exact since symbol < 2^8 and points < 2^8.
void split_pairs(const uint8_t* symbols, std::size_t pairs, std::size_t points, uint8_t* codes) {
  const auto inverse = static_cast<uint16_t>((65536 + points - 1) / points);
  const auto base = static_cast<uint16_t>(points);
  for (std::size_t i = 0; i < pairs; ++i) {
    const uint16_t symbol = symbols[i];
    const auto high = static_cast<uint16_t>(uint32_t{symbol} * inverse >> 16);
    const auto low = static_cast<uint16_t>(symbol - high * base);
    const auto both = static_cast<uint16_t>(low | high << 8);
    std::memcpy(codes + 2 * i, &both, 2);
  }
}

}  // namespace

std::vector<uint8_t> group_codes(const uint8_t* codes, std::size_t count, std::size_t points) {
  const auto group = static_cast<std::size_t>(codes_per_symbol(points));
  std::vector<uint8_t> symbols;
  symbols.reserve(count / group + 1);
  for (std::size_t at = 0; at < count; at += group) {
    std::size_t symbol = 0;
    for (std::size_t digit = group; digit-- > 0;) {
      symbol = symbol * points + codes[std::min(at + digit, count - 1)];
    }
    symbols.push_back(static_cast<uint8_t>(symbol));
  }
  return symbols;
}

void split_symbols(const uint8_t* symbols, std::size_t count, std::size_t points, uint8_t* codes) {
  if (points == 2 || points == 4 || points == 16 || points == 256) {  // digits are whole bits
    return unpack_codes(symbols, count, std::countr_zero(points), codes);
  }
  const auto group = static_cast<std::size_t>(codes_per_symbol(points));
  if (group == 1) {
    std::copy_n(symbols, count, codes);
    return;
  }
  if (group == 2) {
    split_pairs(symbols, count / 2, points, codes);
    if (count % 2 == 1) codes[count - 1] = static_cast<uint8_t>(symbols[count / 2] % points);
    return;
  }
  std::array<std::array<uint8_t, 8>, 256> digits{};
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    std::size_t rest = symbol;
    for (std::size_t digit = 0; digit < group; ++digit, rest /= std::max<std::size_t>(points, 2)) {
      digits[symbol][digit] = static_cast<uint8_t>(points < 2 ? 0 : rest % points);
    }
  }
  std::size_t at = 0;
  for (; at + 8 <= count; at += group) std::memcpy(codes + at, digits[*symbols++].data(), 8);
  for (; at < count; at += group) {
    std::copy_n(digits[*symbols++].data(), std::min(group, count - at), codes + at);
  }
}

}  // namespace bitstill
