#include "bitstill/data/length_buckets.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/sampler.hpp"

namespace bitstill {
namespace {

void check(std::span<const SentenceLengths> lengths, const BucketOptions& options) {
  const std::pair<const char*, int64_t> given[] = {{"data.window", options.window},
                                                   {"train.micro_tokens", options.micro_tokens},
                                                   {"train.global_tokens", options.global_tokens}};
  for (const auto& [name, value] : given) {
    if (value < 1) throw Error(ExitCode::settings, concat(name, " = ", value, ": is at least 1"));
  }
  int64_t longest = 0;
  for (const SentenceLengths& pair : lengths) longest = std::max(longest, padded_length(pair));
  if (longest <= options.micro_tokens) return;
  throw Error(
      ExitCode::settings,
      concat("train.micro_tokens = ", options.micro_tokens, ": the longest sentence has ", longest,
             " tokens; give at least as many, or shard with a smaller --most-length"));
}

/// By target and, among equal ones, by source, there and back again: where a micro-batch spans two
/// target lengths its sources are alike, too.
bool comes_first(const SentenceLengths& a, const SentenceLengths& b) {
  if (a.target != b.target) return a.target < b.target;
  return a.target % 2 == 0 ? a.source < b.source : a.source > b.source;
}

/// Cuts the order's [begin, end), sorted, into micro-batches.
void cut_window(std::span<const SentenceLengths> lengths, const std::vector<int64_t>& order,
                int64_t begin, int64_t end, int64_t most, std::vector<SentenceBatch>* batches) {
  SentenceBatch batch{begin, 0, 0, 0};
  int64_t longest = 0;
  for (int64_t at = begin; at < end; ++at) {
    const SentenceLengths& pair = lengths[order[at]];
    const int64_t grown = std::max(longest, padded_length(pair));
    if (batch.count > 0 && grown * (batch.count + 1) > most) {
      batches->push_back(batch);
      batch = {at, 0, 0, 0};
      longest = padded_length(pair);
    } else {
      longest = grown;
    }
    ++batch.count;
    batch.padded = batch.count * longest;
    batch.terms += pair.target + 1;
  }
  if (batch.count > 0) batches->push_back(batch);
}

/// Puts the micro-batches in random order, and the sentences with them.
void shuffle(uint64_t seed, int64_t epoch, BucketedEpoch* result) {
  std::vector<SentenceBatch>& batches = result->micro_batches;
  RandomStream stream(seed, StreamPurpose::order, static_cast<uint64_t>(epoch), 1);
  for (std::size_t left = batches.size(); left > 1; --left) {
    std::swap(batches[left - 1], batches[stream.below(left)]);
  }
  std::vector<int64_t> order;
  order.reserve(result->order.size());
  for (SentenceBatch& batch : batches) {
    const auto from = result->order.begin() + batch.first;
    batch.first = static_cast<int64_t>(order.size());
    order.insert(order.end(), from, from + batch.count);
  }
  result->order = std::move(order);
}

void fill_steps(int64_t most, BucketedEpoch* result) {
  int64_t terms = 0;
  const auto count = static_cast<int64_t>(result->micro_batches.size());
  for (int64_t n = 0; n < count; ++n) {
    const int64_t more = result->micro_batches[static_cast<std::size_t>(n)].terms;
    if (n == 0 || terms + more > most) {
      result->step_first.push_back(n);
      terms = 0;
    }
    terms += more;
  }
  result->step_first.push_back(count);
}

}  // namespace

int64_t padded_length(const SentenceLengths& lengths) {
  return std::max(lengths.source, lengths.target + 1);
}

std::span<const SentenceBatch> BucketedEpoch::step(int64_t index) const {
  const auto s = static_cast<std::size_t>(index);
  return std::span(micro_batches)
      .subspan(static_cast<std::size_t>(step_first[s]),
               static_cast<std::size_t>(step_first[s + 1] - step_first[s]));
}

BucketedEpoch bucket_epoch(std::span<const SentenceLengths> lengths, const BucketOptions& options,
                           uint64_t seed, int64_t epoch) {
  check(lengths, options);
  const auto count = static_cast<int64_t>(lengths.size());
  BucketedEpoch result;
  result.order = epoch_order(count, seed, epoch);
  for (int64_t begin = 0; begin < count; begin += options.window) {
    const int64_t end = std::min(begin + options.window, count);
    // Stable: which of the equally long ones meet is the epoch's chance.
    std::stable_sort(result.order.begin() + begin, result.order.begin() + end,
                     [&](int64_t a, int64_t b) { return comes_first(lengths[a], lengths[b]); });
    cut_window(lengths, result.order, begin, end, options.micro_tokens, &result.micro_batches);
  }
  shuffle(seed, epoch, &result);
  fill_steps(options.global_tokens, &result);
  return result;
}

std::vector<int64_t> deal_to_ranks(std::span<const SentenceBatch> step, int world) {
  double total = 0;
  for (const SentenceBatch& batch : step) total += static_cast<double>(batch.padded);
  std::vector<int64_t> first = {0};
  std::size_t next = 0;
  double before = 0;  // padded tokens of the micro-batches in front of `next`
  for (int rank = 1; rank < world; ++rank) {
    const double share = total * rank / world;
    // The boundary nearest to the rank's share.
    while (next < step.size() && before + static_cast<double>(step[next].padded) / 2 < share) {
      before += static_cast<double>(step[next++].padded);
    }
    first.push_back(static_cast<int64_t>(next));
  }
  first.push_back(static_cast<int64_t>(step.size()));
  return first;
}

std::vector<std::vector<int64_t>> batches_by_length(std::span<const SentenceLengths> lengths,
                                                    int64_t padded_tokens) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return comes_first(lengths[a], lengths[b]); });
  std::vector<SentenceBatch> cut;
  cut_window(lengths, order, 0, static_cast<int64_t>(order.size()), padded_tokens, &cut);
  std::vector<std::vector<int64_t>> batches;
  for (const SentenceBatch& batch : cut) {
    const auto from = order.begin() + batch.first;
    batches.emplace_back(from, from + batch.count);
  }
  return batches;
}

double padding_share(const BucketedEpoch& epoch, std::span<const SentenceLengths> lengths) {
  double padded = 0, real = 0;
  for (const SentenceBatch& batch : epoch.micro_batches) {
    SentenceLengths longest;
    for (int64_t at = batch.first; at < batch.first + batch.count; ++at) {
      const SentenceLengths& pair = lengths[epoch.order[at]];
      longest.source = std::max(longest.source, pair.source);
      longest.target = std::max(longest.target, pair.target);
      real += pair.source + pair.target + 1;
    }
    padded += static_cast<double>(batch.count) * (longest.source + longest.target + 1);
  }
  return padded > 0 ? 1 - real / padded : 0;
}

}  // namespace bitstill
