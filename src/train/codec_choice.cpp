#include "bitstill/train/codec_choice.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bitstill/base/median.hpp"
#include "bitstill/train/coded_sum.hpp"

namespace bitstill {
namespace {

constexpr double kBudget_s = 0.2, kGain = 0.75;
constexpr std::size_t kLeastRounds = 3, kMostRounds = 15;

}  // namespace

SumSeconds measure_sums(Communicator& comm, int64_t chunk_bytes, int64_t gradient_bytes,
                        const std::function<double()>& now_s) {
  const auto chunk_of = [&](Codec codec) {
    ExchangeOptions options;
    options.chunk_bytes = chunk_bytes;
    options.codec = codec;
    return std::max<int64_t>(std::min(gradient_chunk_bytes(options), gradient_bytes) / 4, 1);
  };
  const int64_t exact_count = chunk_of(Codec::none), coded_count = chunk_of(Codec::qsgd);
  std::vector<float> values(static_cast<std::size_t>(coded_count));  // the larger of both
  CodedSum coded(0);
  std::vector<double> exact_s, coded_s;
  const double start_s = now_s();
  for (int64_t more = 1; more != 0;) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    const double begin_s = now_s();
    comm.all_reduce(values.data(), exact_count, ElementType::f32);
    const double middle_s = now_s();
    coded.sum(comm, values.data(), {0, coded_count}, static_cast<int64_t>(coded_s.size()));
    exact_s.push_back(middle_s - begin_s);
    coded_s.push_back(now_s() - middle_s);
    const std::size_t rounds = coded_s.size();
    more = rounds < kLeastRounds || (rounds < kMostRounds && now_s() - start_s < kBudget_s);
    comm.broadcast(&more, 1, ElementType::i64, 0);
  }
  double seconds[2] = {median(exact_s) / static_cast<double>(4 * exact_count),
                       median(coded_s) / static_cast<double>(4 * coded_count)};
  comm.broadcast(seconds, 2, ElementType::f64, 0);
  return {seconds[0], seconds[1]};
}

Codec chosen_codec(const SumSeconds& seconds) {
  return seconds.coded <= kGain * seconds.exact ? Codec::qsgd : Codec::none;
}

}  // namespace bitstill
