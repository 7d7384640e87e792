// What the families of sentences share: units that run by pass(), tables and head by their ties,
// dropout.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "bitstill/model/blocks.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

class SentenceUnit : public Unit {
 public:
  /// std::logic_error: it takes more than one tensor.
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) final;
};

enum class Side { source, target };

/// rows [n, size] -> logits [n, classes].
class Head final : public Unit {
 public:
  explicit Head(Affine affine) : affine_(std::move(affine)) {}
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override;
  std::vector<Parameter*> parameters() override { return {&affine_.weight, &affine_.bias}; }

 private:
  Affine affine_;
};

/// Embeddings [pieces, size] and what the head is made of, under OpenNMT-py's names.
struct SentenceTables {
  Parameter source, target;
  Affine head;
};
/// Tied as spec.tie says.
SentenceTables sentence_tables(const NetworkSpec& spec, const c10::Device& device);

/// Error(settings) naming the kind.
[[noreturn]] void refuse_network(const NetworkSpec& spec, const std::string& what);
/// The spec with its dropout. Error(settings): several dropouts, or ties that do not fit.
NetworkSpec completed_sentences(const NetworkSpec& given);

/// oneDNN keeps the code of 1,024 products, each of its own sizes; batches of sentences have that
/// many, and they came to 0.4 GB in bf16. It reads this once, at its first product.
void keep_fewer_products();

/// x times dropout_factors of its sizes, or x without dropout.
at::Tensor dropped(const at::Tensor& x, double rate, uint64_t place, const ForwardMode& mode);

}  // namespace bitstill
