#include "step_scores.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

struct Best {
  float logit;
  int32_t id;
};

constexpr int64_t kBlock = 64;

/// Whether a block has a logit above `least`: without a branch, so that it is done several at once.
bool passes(const float* logits, int64_t count, float least) {
  int any = 0;
  for (int64_t i = 0; i < count; ++i) any |= static_cast<int>(logits[i] > least);
  return any != 0;
}

/// In `best`, which is reused: sorted. Few blocks have a logit above the least of those so far.
void take_best(const float* logits, int64_t pieces, int64_t banned, std::size_t width,
               std::vector<Best>* best) {
  best->clear();
  float least = -std::numeric_limits<float>::infinity();
  for (int64_t first = 0; first < pieces; first += kBlock) {
    const int64_t end = std::min(first + kBlock, pieces);
    if (!passes(logits + first, end - first, least)) continue;
    for (int64_t id = first; id < end; ++id) {
      const float logit = logits[id];
      if (!(logit > least) || id == banned) continue;
      if (best->size() == width) best->pop_back();
      const auto place = std::find_if(best->begin(), best->end(),
                                      [&](const Best& other) { return other.logit < logit; });
      best->insert(place, {logit, static_cast<int32_t>(id)});
      if (best->size() == width) least = best->back().logit;
    }
  }
}

[[noreturn]] void refuse_numbers() {
  throw Error(ExitCode::numbers,
              "the network's answer to a sentence is not finite; its weights are damaged");
}

}  // namespace

StepScores::StepScores(const at::Tensor& logits, int64_t banned, int64_t width)
    : best_(static_cast<std::size_t>(logits.size(0))) {
  const at::Tensor own = logits.to(at::kCPU, at::kFloat).contiguous();
  log_p_ = at::log_softmax(own, 1);
  const int64_t pieces = own.size(1);
  const float* const values = own.const_data_ptr<float>();
  at::parallel_for(0, own.size(0), 8, [&](int64_t begin, int64_t end) {
    std::vector<Best> best;
    for (int64_t row = begin; row < end; ++row) {
      take_best(values + row * pieces, pieces, banned, static_cast<std::size_t>(width), &best);
      for (const Best& one : best) {
        best_[static_cast<std::size_t>(row)].push_back({one.id, score(row, one.id)});
      }
    }
  });
  if (std::any_of(best_.begin(), best_.end(), [](const auto& row) { return row.empty(); })) {
    refuse_numbers();
  }
}

double StepScores::score(int64_t row, int64_t id) const {
  const double score = log_p_.const_data_ptr<float>()[row * log_p_.size(1) + id];
  if (!std::isfinite(score)) refuse_numbers();
  return score;
}

}  // namespace bitstill
