// The units of recurrent networks, in order: the source's embedding, the encoder, the target's
// embedding, the decoder; a head follows. Names, order of gates and dropout are OpenNMT-py 3.5's.
#pragma once

#include <vector>

#include "bitstill/model/network.hpp"
#include "recurrent_parts.hpp"
#include "sentence_units.hpp"

namespace bitstill {

/// x = a row of the table for each id of the side, [time, n, size], dropped out.
class Embedding final : public SentenceUnit {
 public:
  Embedding(Side side, Parameter table, double dropout);
  void pass(Flow& flow, const ForwardMode& mode) override;
  at::Tensor rows(const at::Tensor& ids) const;
  std::vector<Parameter*> parameters() override { return {&table_}; }

 private:
  Side side_;
  Parameter table_;
  double dropout_;
};

/// x [S, n, size] -> memory, masked and summary [2, layers, n, size] (h and c of each layer; of two
/// directions one behind the other).
class Encoder final : public SentenceUnit {
 public:
  Encoder(const NetworkSpec& spec, const c10::Device& device);
  void pass(Flow& flow, const ForwardMode& mode) override;
  std::vector<Parameter*> parameters() override;

 private:
  at::Tensor bridged(const at::Tensor& states, const Parameter& weight, const Parameter& bias,
                     const ForwardMode& mode) const;

  int64_t directions_;
  double dropout_;
  std::vector<LstmLayer> layers_;  // forward and backward by turns, if both
  std::vector<Parameter> bridge_;  // weight and bias for h, and for c; none
};

/// x [U, n, size] -> x [U, n, size], what the head takes.
class Decoder final : public SentenceUnit {
 public:
  Decoder(const NetworkSpec& spec, const c10::Device& device);
  void pass(Flow& flow, const ForwardMode& mode) override;
  const DecoderWeights& weights() const { return weights_; }
  std::vector<Parameter*> parameters() override;

 private:
  at::Tensor by_layers(const Flow& flow, const Source& source, const DecoderDropout& dropout) const;

  double dropout_;
  DecoderWeights weights_;
};

}  // namespace bitstill
