#include "bitstill/codec/measure.hpp"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_c_literalCompressionMode
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>

#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/codec/bit_packing.hpp"
#include "bitstill/codec/rans.hpp"
#include "bitstill/codec/symbol_table.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBucket = 256;
constexpr double kRoundSeconds = 4e-3;  // a way of moving codes runs at least this long each round

int width_of(std::size_t points) {
  return static_cast<int>(std::ceil(std::log2(static_cast<double>(points))));
}

/// Gaussian weights in buckets, each scaled to [0, 1] and moved to the nearest point.
CodedTensor gaussian_tensor(const std::string& name, const std::vector<int64_t>& shape,
                            std::size_t points) {
  RandomStream random(1, StreamPurpose::initialization, name);
  CodedTensor tensor;
  tensor.name = name;
  tensor.shape = shape;
  tensor.count = 1;
  for (const int64_t size : shape) tensor.count *= size;
  tensor.bucket = kBucket;
  const auto last = static_cast<float>(points - 1);
  for (std::size_t j = 0; j < points; ++j) tensor.points.push_back(static_cast<float>(j) / last);
  for (int64_t first = 0; first < tensor.count; first += kBucket) {
    std::vector<float> values(static_cast<std::size_t>(std::min(kBucket, tensor.count - first)));
    for (float& value : values) {  // Box and Muller
      const double radius = std::sqrt(-2 * std::log(1.0 - static_cast<double>(random.uniform())));
      value = static_cast<float>(radius * std::cos(2 * std::numbers::pi * random.uniform()));
    }
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const float beta = *low, alpha = *high > *low ? *high - *low : 1.0F;
    tensor.beta.push_back(beta);
    tensor.alpha.push_back(alpha);
    for (const float value : values) {
      tensor.codes.push_back(static_cast<uint8_t>(std::rint((value - beta) / alpha * last)));
    }
  }
  return tensor;
}

/// zstd's frame of `bytes`; without matches it is its Huffman coder ("huff0") alone.
std::vector<char> zstd_frame(const std::vector<uint8_t>& bytes, int level, bool matches) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  if (!matches) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_strategy, ZSTD_fast);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_minMatch, ZSTD_MINMATCH_MAX);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_targetLength, ZSTD_TARGETLENGTH_MAX);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  }
  std::vector<char> frame(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) throw Error(ExitCode::environment, ZSTD_getErrorName(size));
  frame.resize(size);
  return frame;
}

CodecTime summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front()};
}

/// Each way `rounds` times in turn, every pass timed apart.
std::vector<CodecTime> in_turn(const std::vector<std::function<void()>>& ways, int rounds) {
  std::vector<std::vector<double>> seconds(ways.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      ways[way]();  // touches the pages
      const Timer whole;
      while (whole.seconds() < kRoundSeconds) {
        const Timer pass;
        ways[way]();
        seconds[way].push_back(pass.seconds());
      }
    }
  }
  std::vector<CodecTime> times;
  for (auto& one : seconds) times.push_back(summary(std::move(one)));
  return times;
}

}  // namespace

NetworkShape student1_shape() {
  return {"student1",
          {{75, 3, 5, 5}, {50, 75, 5, 5}, {50, 50, 5, 5}, {25, 50, 5, 5}, {500, 1600}, {10, 500}},
          710 + 4 * 700};
}

NetworkShape teacher_shape() {
  return {"teacher",
          {{76, 3, 3, 3},
           {76, 76, 3, 3},
           {126, 76, 3, 3},
           {126, 126, 3, 3},
           {148, 126, 3, 3},
           {148, 148, 3, 3},
           {148, 148, 3, 3},
           {148, 148, 3, 3},
           {1200, 2368},
           {1200, 1200},
           {10, 1200}},
          3406 + 4 * 3396};
}

CodecSizes measure_sizes(const NetworkShape& network, std::size_t points) {
  CodecSizes sizes;
  std::vector<CodedTensor> coded;
  std::vector<uint8_t> packed;
  for (std::size_t i = 0; i < network.weights.size(); ++i) {
    coded.push_back(gaussian_tensor(concat(i, ".weight"), network.weights[i], points));
    const auto& codes = coded.back().codes;
    sizes.entropy += entropy_bits(codes) / 8;
    const std::size_t before = packed.size();
    packed.resize(before + packed_bytes(codes.size(), width_of(points)));
    pack_codes(codes.data(), codes.size(), width_of(points), packed.data() + before);
  }
  sizes.zstd = zstd_frame(packed, 19, true).size();
  const std::vector<float> others(static_cast<std::size_t>(network.others), 0.5F);
  StringSink sink;
  write_packed_model(network.name, {{"kind", "student"}},
                     {{"others", Dtype::f32, {network.others}, others.data()}}, coded, sink);
  const std::string& file = sink.bytes;
  const ByteSource source{file.size(), [&](uint64_t offset, void* to, std::size_t count) {
                            std::memcpy(to, file.data() + offset, count);
                          }};
  const auto skip = [](const auto&, Dtype, const auto&) -> void* { return nullptr; };
  const PackedModel model = read_packed_model(source, network.name, skip);
  sizes.payload = model.code_bytes;
  sizes.file = file.size();
  sizes.contents = model.code_bytes + model.scale_bytes + model.point_bytes + 4 * others.size();
  return sizes;
}

CodecTimes measure_decode(int64_t count, std::size_t points, int rounds) {
  const auto codes = gaussian_tensor("codes", {count}, points).codes;
  std::vector<uint64_t> counts(points);
  for (const uint8_t code : codes) ++counts[code];
  const auto weights = fit_weights(counts);  // both decoders make their tables from what is stored
  const SymbolTable table(weights);
  const auto symbols = group_codes(codes.data(), codes.size(), points);
  const auto stream =
      encode_rans({{&table, symbols.data(), symbols.size()}}, RansDecoder::kFastLanes);
  const auto frame = zstd_frame(codes, 1, false);
  const int width = width_of(points);
  std::vector<uint8_t> packed(packed_bytes(codes.size(), width));
  pack_codes(codes.data(), codes.size(), width, packed.data());
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  std::vector<uint8_t> scratch(symbols.size()), out(codes.size());
  const auto times = in_turn(
      {[&] {
         RansDecoder decoder(stream.data(), stream.size(), RansDecoder::kFastLanes, "bench");
         decoder.decode(SymbolTable(weights), symbols.size(), scratch.data());
         decoder.finish();
         split_symbols(scratch.data(), out.size(), points, out.data());
       },
       [&] {
         ZSTD_decompressDCtx(context.get(), out.data(), out.size(), frame.data(), frame.size());
       },
       [&] { unpack_codes(packed.data(), out.size(), width, out.data()); },
       [&] { std::memcpy(out.data(), codes.data(), codes.size()); }},
      rounds);
  return {times[0], times[1], times[2], times[3]};
}

}  // namespace bitstill
