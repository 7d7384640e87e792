// The units of Transformers (Vaswani et al. 2017) whose norms stand before attention and filter, in
// order: the source's embedding, the encoder's layers, its norm, the target's embedding, the
// decoder's layers, its norm; a head follows. Names and formulas are OpenNMT-py 3.5's.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/network.hpp"
#include "sentence_units.hpp"

namespace bitstill {

/// Encodings of the positions first, first + 1, ... [count, size]: sines at even places, cosines at
/// odd ones.
at::Tensor position_encodings(int64_t first, int64_t count, int64_t size, const at::Device& device);

/// Over the last dimension.
struct LayerNorm {
  LayerNorm(const std::string& prefix, int64_t size, const c10::Device& device);
  at::Tensor operator()(const at::Tensor& x) const;
  Parameter weight, bias;
};

/// What is attended to: [n, heads, time, size / heads].
struct KeysAndValues {
  at::Tensor keys, values;
};

/// Which keys a query sees: all, those where `allowed` (bool, [n, 1, 1, time]) is true, or, if
/// `causal`, those up to its own time.
struct Sight {
  std::optional<at::Tensor> allowed;
  bool causal = false;
};

/// bool [n, 1, 1, S] of Flow::masked.
at::Tensor allowed_by(const at::Tensor& masked);

/// Scaled dot-product attention by heads.
struct HeadedAttention {
  HeadedAttention(const std::string& prefix, int64_t size, int64_t heads,
                  const c10::Device& device);
  KeysAndValues of(const at::Tensor& memory) const;  // [time, n, size]
  /// x [steps, n, size] -> [steps, n, size]; 0 of a query that sees nothing.
  at::Tensor operator()(const at::Tensor& x, const KeysAndValues& memory, const Sight& sight) const;
  void add_to(std::vector<Parameter*>& all);
  Parameter query, keys, values, output;  // [size, size]
  int64_t heads;

 private:
  at::Tensor by_heads(const at::Tensor& x, const Parameter& weight) const;
};

/// W_2 relu(W_1 norm(x) + b_1) + b_2.
struct Filter {
  Filter(const std::string& prefix, int64_t size, int64_t width, const c10::Device& device);
  at::Tensor operator()(const at::Tensor& x) const;
  void add_to(std::vector<Parameter*>& all);
  LayerNorm norm;
  Affine in, out;
};

/// x = sqrt(size) times a row of the table for each id of the side, and its position's encoding:
/// [time, n, size], dropped out. Of the source also masked.
class PositionedEmbedding final : public SentenceUnit {
 public:
  PositionedEmbedding(Side side, Parameter table, double dropout, uint64_t number);
  void pass(Flow& flow, const ForwardMode& mode) override;
  /// ids [time, n], of which the first time is `first`.
  at::Tensor rows(const at::Tensor& ids, int64_t first) const;
  std::vector<Parameter*> parameters() override { return {&table_}; }

 private:
  Side side_;
  Parameter table_;
  double dropout_;
  uint64_t number_;  // of the unit, for its dropout
};

/// x + attention(norm(x)), then x + filter(x).
class EncoderLayer final : public SentenceUnit {
 public:
  EncoderLayer(const NetworkSpec& spec, int64_t layer, uint64_t number, const c10::Device& device);
  void pass(Flow& flow, const ForwardMode& mode) override;
  std::vector<Parameter*> parameters() override;
  LayerNorm norm;
  HeadedAttention attention;
  Filter filter;

 private:
  double dropout_;
  uint64_t number_;
};

/// x + own attention(norm_1(x)), x + attention(norm_2(x)) to the memory, x + filter(x).
class DecoderLayer final : public SentenceUnit {
 public:
  DecoderLayer(const NetworkSpec& spec, int64_t layer, uint64_t number, const c10::Device& device);
  void pass(Flow& flow, const ForwardMode& mode) override;
  std::vector<Parameter*> parameters() override;
  LayerNorm own_norm, context_norm;
  HeadedAttention own, context;
  Filter filter;

 private:
  double dropout_;
  uint64_t number_;
};

/// The norm behind the last layer of a side; what it leaves of the source is the memory.
class FinalNorm final : public SentenceUnit {
 public:
  FinalNorm(Side side, int64_t size, const c10::Device& device);
  void pass(Flow& flow, const ForwardMode& mode) override;
  std::vector<Parameter*> parameters() override { return {&norm.weight, &norm.bias}; }
  LayerNorm norm;

 private:
  Side side_;
};

/// The units of a network by their types, as its step decoders take them.
struct TransformerUnits {
  explicit TransformerUnits(const Network& network);
  const PositionedEmbedding *source, *target;
  std::vector<const EncoderLayer*> encoder;
  std::vector<const DecoderLayer*> decoder;
  const FinalNorm *encoder_norm, *decoder_norm;
};

}  // namespace bitstill
