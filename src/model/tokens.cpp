#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "bitstill/model/flow.hpp"

namespace bitstill {
namespace {

/// What a sentence's side fills of a tensor [time, n].
class Padded {
 public:
  Padded(int64_t time, int64_t sentences)
      : ids_(at::zeros({time, sentences}, at::kLong)),
        value_(ids_.mutable_data_ptr<int64_t>()),
        sentences_(sentences) {}
  void put(int64_t time, int64_t sentence, int64_t id) {
    value_[time * sentences_ + sentence] = id;
  }
  const at::Tensor& ids() const { return ids_; }

 private:
  at::Tensor ids_;
  int64_t* value_;
  int64_t sentences_;
};

}  // namespace

Tokens to_tokens(const Batch& batch, const TargetEnds& ends, const at::Device& device) {
  const auto n = static_cast<int64_t>(batch.lengths.size());
  // A step at least, so that a batch of empty sentences is one like any other.
  int64_t longest_source = 1, longest_target = 0, terms = 0;
  for (const SentenceLengths& length : batch.lengths) {
    longest_source = std::max<int64_t>(longest_source, length.source);
    longest_target = std::max<int64_t>(longest_target, length.target);
    terms += length.target + 1;
  }
  Padded source(longest_source, n), target(longest_target + 1, n);
  at::Tensor source_lengths = at::empty({n}, at::kLong), target_lengths = at::empty({n}, at::kLong);
  at::Tensor rows = at::empty({terms}, at::kLong), labels = at::empty({terms}, at::kLong);
  auto* row = rows.mutable_data_ptr<int64_t>();
  auto* label = labels.mutable_data_ptr<int64_t>();
  const int32_t* token = batch.tokens.data();
  for (int64_t k = 0; k < n; ++k) {
    const SentenceLengths& length = batch.lengths[static_cast<std::size_t>(k)];
    source_lengths.mutable_data_ptr<int64_t>()[k] = length.source;
    target_lengths.mutable_data_ptr<int64_t>()[k] = length.target + 1;
    for (int64_t t = 0; t < length.source; ++t) source.put(t, k, *token++);
    target.put(0, k, ends.begin);
    for (int64_t t = 0; t <= length.target; ++t) {
      *row++ = t * n + k;
      if (t < length.target) target.put(t + 1, k, *token);
      *label++ = t < length.target ? *token++ : ends.end;
    }
  }
  return {source.ids().to(device), source_lengths,  target.ids().to(device),
          target_lengths,          rows.to(device), labels.to(device)};
}

}  // namespace bitstill
