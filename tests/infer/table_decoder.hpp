// A decoder whose answers are random tables: of each source and history of a target its own.
#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/model/step_decoder.hpp"

namespace bitstill {

class TableDecoder final : public StepDecoder {
 public:
  /// levels > 0: logits are whole numbers below it, so that many are equal.
  explicit TableDecoder(int64_t pieces, uint64_t levels = 0) : pieces_(pieces), levels_(levels) {}

  /// What a history of source and target ids is known by.
  static int64_t after(int64_t history, int64_t id) {
    const auto mixed = static_cast<uint64_t>(history) * 6364136223846793005U +
                       static_cast<uint64_t>(id) * 1442695040888963407U + 12345U;
    return static_cast<int64_t>(mixed ^ (mixed >> 29U));
  }
  static int64_t of_source(const std::vector<int32_t>& source) {
    int64_t history = 0;
    for (const int32_t id : source) history = after(history, id);
    return history;
  }
  void fill(int64_t history, float* logits) const {
    RandomStream stream(static_cast<uint64_t>(history), StreamPurpose::split);
    for (int64_t id = 0; id < pieces_; ++id) {
      logits[id] = levels_ > 0 ? static_cast<float>(stream.below(levels_))
                               : static_cast<float>(stream.below(1U << 20U)) / (1U << 18U);
    }
  }

  DecoderState begin(const Tokens& sources) override {
    const at::Tensor histories = at::zeros({sources.sentences()}, at::kLong);
    for (int64_t k = 0; k < sources.sentences(); ++k) {
      std::vector<int32_t> ids;
      for (int64_t t = 0; t < sources.source_lengths.const_data_ptr<int64_t>()[k]; ++t) {
        ids.push_back(static_cast<int32_t>(
            sources.source.const_data_ptr<int64_t>()[t * sources.sentences() + k]));
      }
      histories.mutable_data_ptr<int64_t>()[k] = of_source(ids);
    }
    return {histories};
  }

  at::Tensor next(DecoderState* state, const at::Tensor& last) override {
    ++steps;
    rows += last.numel();
    const at::Tensor histories = state->at(0).clone();
    at::Tensor logits = at::empty({last.numel(), pieces_}, at::kFloat);
    for (int64_t h = 0; h < last.numel(); ++h) {
      int64_t& history = histories.mutable_data_ptr<int64_t>()[h];
      history = after(history, last.const_data_ptr<int64_t>()[h]);
      fill(history, logits.mutable_data_ptr<float>() + h * pieces_);
    }
    state->at(0) = histories;
    return logits;
  }

  int64_t steps = 0, rows = 0;  // asked so far

 private:
  int64_t pieces_;
  uint64_t levels_;
};

}  // namespace bitstill
