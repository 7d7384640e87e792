#include "bitstill/codec/rans.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"

namespace bitstill {
namespace {

/// Codes like quantized Gaussians: sums of four even numbers.
std::vector<uint8_t> bell_codes(std::size_t count, std::size_t points, uint64_t seed) {
  RandomStream random(seed, StreamPurpose::order, count);
  std::vector<uint8_t> codes(count);
  for (auto& code : codes) {
    uint64_t sum = 2;
    for (int i = 0; i < 4; ++i) sum += random.below(points);
    code = static_cast<uint8_t>(sum / 4 < points ? sum / 4 : points - 1);
  }
  return codes;
}

std::vector<uint64_t> count_codes(const std::vector<uint8_t>& codes, std::size_t points) {
  std::vector<uint64_t> counts(points);
  for (const uint8_t code : codes) ++counts[code];
  return counts;
}

double entropy_bits(const std::vector<uint64_t>& counts) {
  const auto all = static_cast<double>(std::accumulate(counts.begin(), counts.end(), uint64_t{0}));
  double bits = 0;
  for (const uint64_t count : counts) {
    if (count > 0) bits -= static_cast<double>(count) * std::log2(static_cast<double>(count) / all);
  }
  return bits;
}

TEST(SymbolTable, GroupsAsManyCodesAsAByteHolds) {
  EXPECT_EQ(codes_per_symbol(1), 8);
  EXPECT_EQ(codes_per_symbol(2), 8);
  EXPECT_EQ(codes_per_symbol(3), 5);
  EXPECT_EQ(codes_per_symbol(4), 4);
  EXPECT_EQ(codes_per_symbol(6), 3);
  EXPECT_EQ(codes_per_symbol(7), 2);
  EXPECT_EQ(codes_per_symbol(16), 2);
  EXPECT_EQ(codes_per_symbol(17), 1);
  EXPECT_EQ(codes_per_symbol(256), 1);
}

TEST(SymbolTable, SplitsWhatItGroups) {
  for (std::size_t points = 1; points <= 256; ++points) {
    for (std::size_t count = 0; count <= 40; ++count) {
      const auto codes = bell_codes(count, points, points);
      const auto symbols = group_codes(codes.data(), count, points);
      const auto back = std::make_unique<uint8_t[]>(count);  // the sanitizers see a byte too many
      split_symbols(symbols.data(), count, points, back.get());
      ASSERT_TRUE(std::equal(codes.begin(), codes.end(), back.get())) << points << " " << count;
    }
    for (std::size_t symbol = 0; codes_per_symbol(points) == 2 && symbol < points * points;
         ++symbol) {
      const auto byte = static_cast<uint8_t>(symbol);
      uint8_t two[2];
      split_symbols(&byte, 2, points, two);
      ASSERT_EQ(two[0] + points * two[1], symbol);
    }
  }
}

TEST(SymbolTable, WeightsAreFloatsOfEightBits) {
  for (int byte = 1; byte < 256; ++byte) {
    ASSERT_GT(weight_of(static_cast<uint8_t>(byte)), weight_of(static_cast<uint8_t>(byte - 1)));
  }
  EXPECT_EQ(weight_of(15), 15u);
  EXPECT_EQ(weight_of(255), 31u << 14);
  const auto weights = fit_weights({0, 1, 1000000, 500000});
  EXPECT_EQ(weights, (std::vector<uint8_t>{0, 1, 255, 239}));
}

TEST(SymbolTable, FrequenciesAddUpForAnyWeights) {
  RandomStream random(4, StreamPurpose::order);
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint8_t> weights(1 + random.below(256));
    for (auto& weight : weights) weight = static_cast<uint8_t>(random.next() >> random.below(32));
    weights[random.below(weights.size())] = static_cast<uint8_t>(1 + random.below(255));
    const SymbolTable table(weights);
    ASSERT_EQ(std::accumulate(table.frequency.begin(), table.frequency.end(), 0U),
              SymbolTable::kTotal);
    for (std::size_t code = 0; code < weights.size(); ++code) {  // of this code alone
      const std::vector<uint8_t> codes(static_cast<std::size_t>(table.codes),
                                       static_cast<uint8_t>(code));
      const auto symbol = group_codes(codes.data(), codes.size(), weights.size())[0];
      ASSERT_EQ(table.frequency[symbol] > 0, weights[code] > 0);
    }
  }
}

/// Every instruction set of this machine, any number of lanes, runs that begin in any lane.
TEST(Rans, EveryInstructionSetGivesTheBytesOfTheReference) {
  const int64_t targets = hwy::SupportedTargets();
  for (int64_t rest = targets; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    for (const int lanes : {1, 3, 4, 64}) {
      for (const std::size_t points : {2, 3, 4, 7, 8, 16, 32, 64, 65, 256}) {
        std::vector<std::vector<uint8_t>> symbols;
        std::vector<SymbolTable> tables;
        std::vector<SymbolRun> runs;
        for (const std::size_t count : {0, 5, 1, 900, 33, 70, 4000, 350, 63, 1000}) {
          auto codes = bell_codes(count, points, count);
          if (count == 350) codes.assign(count, 0);  // one symbol takes the whole table
          codes.push_back(0);
          tables.emplace_back(fit_weights(count_codes(codes, points)));
          symbols.push_back(group_codes(codes.data(), codes.size(), points));
        }
        for (std::size_t r = 0; r < symbols.size(); ++r) {
          runs.push_back({&tables[r], symbols[r].data(), symbols[r].size()});
        }
        const auto stream = encode_rans(runs, lanes);
        const auto exact = std::make_unique<uint8_t[]>(stream.size());
        std::copy(stream.begin(), stream.end(), exact.get());
        RansDecoder fast(exact.get(), stream.size(), lanes, "m");
        RansDecoder slow(exact.get(), stream.size(), lanes, "m");
        for (std::size_t r = 0; r < runs.size(); ++r) {
          const auto back = std::make_unique<uint8_t[]>(symbols[r].size());
          fast.decode(tables[r], symbols[r].size(), back.get());
          ASSERT_TRUE(std::equal(symbols[r].begin(), symbols[r].end(), back.get()))
              << points << " points, " << hwy::TargetName(rest & -rest);
          slow.decode_reference(tables[r], symbols[r].size(), back.get());
          ASSERT_TRUE(std::equal(symbols[r].begin(), symbols[r].end(), back.get()))
              << points << " points, " << hwy::TargetName(rest & -rest);
        }
        fast.finish();
        slow.finish();
      }
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Rans, RefusesEveryTruncationAndOddStreams) {
  const auto codes = bell_codes(5000, 16, 1);
  const SymbolTable table(fit_weights(count_codes(codes, 16)));
  const auto symbols = group_codes(codes.data(), codes.size(), 16);
  const auto stream = encode_rans({{&table, symbols.data(), symbols.size()}}, 64);
  std::vector<uint8_t> back(symbols.size());
  const auto read = [&](const std::vector<uint8_t>& bytes) {
    RansDecoder decoder(bytes.data(), bytes.size(), 64, "m");
    decoder.decode(table, symbols.size(), back.data());
    decoder.finish();
  };
  read(stream);
  for (std::size_t size = 0; size < stream.size(); ++size) {
    EXPECT_THROW(read({stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size)}), Error);
  }
  auto longer = stream;
  longer.insert(longer.end(), 2, 0);
  EXPECT_THROW(read(longer), Error);
  auto impossible = stream;
  impossible[2] = impossible[3] = 0;
  EXPECT_THROW(read(impossible), Error);
}

/// P12's bounds for codes like those of quantized Gaussians, tables and states included.
TEST(Rans, ComesNearTheEntropy) {
  for (const std::size_t points : {2, 3, 4, 5, 8, 12, 16, 32, 64, 100, 128, 256}) {
    const std::size_t count = 1000003;
    const auto codes = bell_codes(count, points, 9);
    const auto counts = count_codes(codes, points);
    const auto weights = fit_weights(counts);
    const SymbolTable table(weights);
    const auto symbols = group_codes(codes.data(), count, points);
    const auto stream = encode_rans({{&table, symbols.data(), symbols.size()}}, 64);
    const double bits = 8 * static_cast<double>(stream.size() + weights.size());
    EXPECT_LT(bits, entropy_bits(counts) * (points < 8 ? 1.02 : 1.01)) << points << " points";
    EXPECT_NEAR(coded_bits(counts, weights) / entropy_bits(counts), 1, 0.002) << points;
  }
}

}  // namespace
}  // namespace bitstill
