// What recurrent networks are made of, step by step as operators of LibTorch: the formulas, and the
// reference of the faster nodes.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/network.hpp"

namespace bitstill {

/// A layer of an LSTM in one direction (Hochreiter and Schmidhuber 1997, with forget gates):
/// gates i, f, g, o = W_ih x + b_ih + W_hh h + b_hh, in PyTorch's order;
/// c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').
struct LstmLayer {
  /// Parameters `prefix`weight_ih`suffix` and so on.
  LstmLayer(const std::string& prefix, const std::string& suffix, int64_t in, int64_t size,
            const c10::Device& device);
  void add_to(std::vector<Parameter*>& all);
  int64_t size() const { return weight_hh.value.size(1); }
  Parameter weight_ih, weight_hh, bias_ih, bias_hh;  // [4 size, in], [4 size, size], [4 size] twice
};

struct LstmState {
  at::Tensor h, c;  // [n, size] fp32
};

/// x [n, in].
LstmState lstm_step(const LstmLayer& layer, const at::Tensor& x, const LstmState& state);

/// Over x [S, n, in] from state zero, from the end if `backward`; where real [S, n, 1] (bool) is
/// false the state stays as it is, so each sentence begins and ends at its own ends. Leaves the
/// last state. Outputs [S, n, size], 0 where not real.
at::Tensor lstm_over(const LstmLayer& layer, const at::Tensor& x, const at::Tensor& real,
                     bool backward, LstmState* last);

/// Weights of the decoder.
struct DecoderWeights {
  std::vector<LstmLayer> layers;
  Parameter query;   // attn.linear_in.weight [size, size]
  Parameter output;  // attn.linear_out.weight [size, 2 size], of [context, h]
  bool input_feed = false;
};

/// What a decoder attends to.
struct Source {
  at::Tensor memory;  // [n, S, size]
  at::Tensor masked;  // bool [n, S]
};

struct DecoderStep {
  std::vector<LstmState> layers;
  at::Tensor output;  // [n, size] fp32: what is fed into the next step
};

/// Factors of dropout, or undefined: between layers [layers - 1, U, n, size], of outputs
/// [U, n, size].
struct DecoderDropout {
  at::Tensor between, outputs;
};

/// General attention over the source (Luong et al. 2015), h [steps, n, size]:
/// tanh(W_out [context, h]), where the context is memory by the shares softmax(memory W_q h).
at::Tensor attended(const DecoderWeights& weights, const Source& source, const at::Tensor& h);

/// One step of target inputs x [n, size]: the layers, then output = attended(h of the last one).
/// `time` counts steps for dropout.
DecoderStep decoder_step(const DecoderWeights& weights, const Source& source, const at::Tensor& x,
                         const DecoderStep& before, const DecoderDropout& dropout, int64_t time);

/// Before the first step: summary [2, layers, n, size] of h and c, output 0.
DecoderStep first_step(const at::Tensor& summary);

/// All steps of x [U, n, size]: outputs [U, n, size].
at::Tensor decode_stepwise(const DecoderWeights& weights, const Source& source, const at::Tensor& x,
                           const at::Tensor& summary, const DecoderDropout& dropout);

}  // namespace bitstill
