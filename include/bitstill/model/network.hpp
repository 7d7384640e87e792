// Networks as an ordered list of units: name range, parameters, buffers, forward: tensor -> tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/words.hpp"
#include "bitstill/data/image_shape.hpp"
#include "bitstill/model/flow.hpp"

namespace bitstill {

/// Of the convnets (the paper's nets are instances): one entry a convolution.
struct ConvnetOptions {
  std::vector<int64_t> widths;   // model.widths = 6,12
  std::vector<int64_t> kernels;  // model.kernels = 5 (one value: for all)
  std::vector<int64_t>
      pools;  // model.pools = 1,2: the convolutions (1-based) with a 2x2 max-pool after
  std::vector<int64_t> hidden;  // model.hidden = 24
};

template <ConstOr<ConvnetOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("widths", options.widths, "convnet: channels of each convolution, for example 6,12");
  visit("kernels", options.kernels, "convnet: kernel of each convolution, or one for all");
  visit("pools", options.pools,
        "convnet: after which convolutions (1, 2, ...) a 2x2 max-pool stands");
  visit("hidden", options.hidden, "convnet: widths of the hidden fully connected layers");
}

/// What stands before a ResNet's blocks.
enum class Stem { imagenet, small };
template <>
struct WordsOf<Stem> {
  using enum Stem;
  static constexpr Word<Stem> kTable[] = {{imagenet, "imagenet", "7x7 stride 2, max-pool"},
                                          {small, "small", "3x3, for pictures of some 32 pixels"}};
};

/// Of the residual networks: resnet18 to resnet152 and wrn.
struct ResidualOptions {
  int64_t depth = 0;
  double width_factor = 1;
  Stem stem = Stem::imagenet;
  bool zero_norm = false;
};

template <ConstOr<ResidualOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("depth", options.depth, "wrn: layers, 6n + 4; 0: the kind's own");
  visit("width_factor", options.width_factor,
        "resnet: 0.25 to 2, times 64, 128, ... channels; wrn: 1 to 32, times 16, 32, 64");
  visit("stem", options.stem, "resnet");
  visit("zero_norm", options.zero_norm, "resnet: each block's last norm starts at 0");
}

/// Which tensors of a network of sentences are one.
enum class Tie { none, decoder, all };
template <>
struct WordsOf<Tie> {
  using enum Tie;
  static constexpr Word<Tie> kTable[] = {
      {none, "none", "nothing"},
      {decoder, "decoder", "the target's embedding is the output's weight"},
      {all, "all", "and the source's embedding too"}};
};

/// Of the networks of sentences: lstm and transformer.
struct SentenceOptions {
  int64_t layers = 1;
  int64_t size = 256;
  Tie tie = Tie::none;
  int64_t source_pieces = 0;  // from the shards, as the target's pieces (classes) and the ends
  TargetEnds ends;
};

template <ConstOr<SentenceOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("layers", options.layers,
        "lstm: layers of the encoder, and of the decoder; transformer: of the encoder");
  visit("size", options.size, "lstm, transformer: width of embeddings and states");
  visit("tie", options.tie, "lstm, transformer: which weights are one");
}

/// Of the recurrent networks: lstm.
struct RecurrentOptions {
  bool bidirectional = false;
  bool bridge = false;
  bool input_feed = true;
};

template <ConstOr<RecurrentOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("bidirectional", options.bidirectional,
        "lstm: the encoder reads both ways, half of its state each");
  visit("bridge", options.bridge,
        "lstm: a linear layer with ReLU between the encoder's last state and the decoder's first");
  visit("input_feed", options.input_feed, "lstm: the decoder sees its last output");
}

/// Of the Transformers.
struct TransformerOptions {
  int64_t decoder_layers = 0;
  int64_t heads = 8;
  int64_t filter = 0;
};

template <ConstOr<TransformerOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("decoder_layers", options.decoder_layers,
        "transformer: layers of the decoder; 0: as many as model.layers");
  visit("heads", options.heads, "transformer: heads of attention, each of size / heads");
  visit("filter", options.filter,
        "transformer: width between a layer's two linear ones; 0: 4 x size");
}

/// Everything that is needed to build a network: recipe settings, and what a model file carries.
/// Of the families' options only those of `kind`'s family count.
struct NetworkSpec : ConvnetOptions,
                     ResidualOptions,
                     SentenceOptions,
                     RecurrentOptions,
                     TransformerOptions {
  std::string kind = "convnet";  // model.kind: teacher, student1-3, deeper, convnet, ...
  ImageShape input;              // from the shards; none of sentences
  int64_t classes = 0;           // from the shards; of sentences the target's pieces
  // How its input is made: the word of the network's own file, else model.mean and model.std, else
  // the shards'. Files carry it beside the rest of the spec (infer's describe_model).
  Normalization normalization;
  // model.dropout: a convnet has one per convolution, then one per hidden layer (one value: for
  // all); a wrn one; an lstm one, for embeddings, between layers and for the decoder's outputs; a
  // transformer one, for embeddings and what attention and filters add. Empty: the kind's own as
  // the paper has it, none for convnet, wrn, lstm and transformer. Distilled students have none:
  // {0}.
  std::vector<double> dropout;
};

/// Kinds that make_network knows, for --help.
std::vector<std::string> network_kinds();

/// Whether its kind is a network of sentences: it has no `input`, and runs by hidden() and head().
bool of_sentences(const NetworkSpec& spec);

/// The spec as the options of one family.
template <class Options, ConstOr<NetworkSpec> Spec>
auto& options_of(Spec& spec) {
  if constexpr (std::is_const_v<Spec>) {
    return static_cast<const Options&>(spec);
  } else {
    return static_cast<Options&>(spec);
  }
}

template <ConstOr<NetworkSpec> Spec, class Visit>
void visit_settings(Spec& spec, const Visit& visit) {
  visit("kind", spec.kind, list_names(network_kinds(), 20));
  visit_settings(options_of<ConvnetOptions>(spec), visit);
  visit_settings(options_of<ResidualOptions>(spec), visit);
  visit_settings(options_of<SentenceOptions>(spec), visit);
  visit_settings(options_of<RecurrentOptions>(spec), visit);
  visit_settings(options_of<TransformerOptions>(spec), visit);
  visit("dropout", spec.dropout,
        "convnet: one a convolution, then one a hidden layer, or one for all; wrn, lstm, "
        "transformer: one; empty: the kind's own; 0: none");
  visit("mean", spec.normalization.mean,
        "of each channel, white being 1; empty: its file's own, else the shards'");
  visit("std", spec.normalization.deviation, "of each channel, with mean");
}

Json to_json(const NetworkSpec& spec);
/// Error(code) naming `where` and the member that is missing or out of range.
NetworkSpec network_spec_from_json(const Json& json, const std::string& where, ExitCode code);

/// What a parameter is: decides quantization and weight decay.
enum class ParameterRole { weight, bias, norm };

struct Parameter {
  std::string name;  // as PyTorch would name it: "0.weight"
  ParameterRole role = ParameterRole::weight;
  at::Tensor
      value;  // leaf, fp32, contiguous; the trainer replaces its storage by views of flat buffers
  bool first_layer = false, last_layer = false;
  bool starts_at_zero = false;  // a norm's weight that initialize() does not set to 1
};

/// A batch norm's running statistics (never trained, never quantized).
struct Buffer {
  std::string name;       // "2.running_mean"
  at::Tensor value;       // read in evaluation
  at::Tensor statistics;  // written by a training forward: this batch's mean or unbiased variance
  double momentum = 0;    // a step's share of `value`; 0: train.batch_norm_momentum
};

/// How a forward pass computes.
struct ForwardMode {
  bool training = false;
  bool dropout = true;        // off: batch statistics without it (re-estimated batch norm)
  uint64_t dropout_seed = 0;  // distinct for every (run seed, step, micro-batch); used in training
  /// Synchronized batch norm (optional): sums `sums` (fp32, contiguous) over all ranks in place.
  std::function<void(at::Tensor& sums)> sum_over_ranks;
};

class Program;  // model/program.hpp

class Unit {
 public:
  virtual ~Unit() = default;
  virtual at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) = 0;
  /// The same within a network of sentences: x = forward(x) by default.
  virtual void pass(Flow& flow, const ForwardMode& mode);
  /// Adds the operations of its evaluation, which take the program's result; false where there are
  /// none for it.
  virtual bool describe(Program& program) const;
  /// In order; the pointers stay valid as long as the unit. Empty by default.
  virtual std::vector<Parameter*> parameters() { return {}; }
  virtual std::vector<Buffer*> buffers() { return {}; }
};

class Network {
 public:
  Network(NetworkSpec spec, std::vector<std::unique_ptr<Unit>> units);
  /// With every list filled in, so that a file which carries it describes itself.
  const NetworkSpec& spec() const { return spec_; }
  const std::vector<std::unique_ptr<Unit>>& units() const { return units_; }

  /// All parameters (buffers) in order; a tied tensor appears once.
  const std::vector<Parameter*>& parameters() const { return parameters_; }
  const std::vector<Buffer*>& buffers() const { return buffers_; }
  int64_t parameter_count() const;

  /// x [n, C, H, W] fp32 (n = 0 allowed) -> logits [n, classes]. In evaluation a sample's logits do
  /// not depend on the others of its batch, to the bit.
  at::Tensor forward(at::Tensor x, const ForwardMode& mode) const;

  /// Of sentences: all units but the last, at the real positions of the targets: [terms, size].
  at::Tensor hidden(const Tokens& tokens, const ForwardMode& mode) const;
  /// Of what the body's last unit left: the rows that hidden() returns.
  static at::Tensor rows_of(const Flow& flow);
  /// The last unit: rows of hidden() -> logits [rows, classes]. In evaluation a row's logits do not
  /// depend on the others, to the bit.
  at::Tensor head(const at::Tensor& rows, const ForwardMode& mode) const;

  /// Moves parameters and buffers (values and statistics) to a device.
  void to(const at::Device& device);
  /// Turns requires_grad of all parameters on or off.
  void set_trainable(bool trainable);

 private:
  NetworkSpec spec_;
  std::vector<std::unique_ptr<Unit>> units_;
  std::vector<Parameter*> parameters_;
  std::vector<Buffer*> buffers_;
};

constexpr int64_t kMostParameters = int64_t{1} << 30;

/// Builds the network with zero weights, unit norms, frozen until set_trainable(true).
/// Error(settings) for an unknown kind (naming the nearest), a spec that does not fit (a pool that
/// leaves no pixel, lists of unequal length), or more than `most_parameters` (checked before memory
/// is taken: for a file from a stranger, give the number of values it holds).
std::unique_ptr<Network> make_network(const NetworkSpec& spec,
                                      int64_t most_parameters = kMostParameters);

/// The same without values: its tensors have names and shapes, and take no memory (device meta).
std::unique_ptr<Network> make_skeleton(const NetworkSpec& spec, int64_t most_parameters);

/// The spec with every list filled in, as make_network's has it. Error(settings) as there.
NetworkSpec completed(const NetworkSpec& spec);

/// Weights by the rule of the network's family, zero biases, unit norms; each parameter from the
/// stream of its name.
void initialize(Network& network, uint64_t seed);

}  // namespace bitstill
