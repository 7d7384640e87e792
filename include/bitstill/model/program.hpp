// The one description of a network's evaluation: operations over numbered values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bitstill {

class Network;

enum class OperationKind { convolution, linear, norm, relu, add, max_pool, average_pool };

/// Of a convolution or pool: square, the same in both directions.
struct Window {
  int64_t kernel = 1, stride = 1, padding = 0;
  /// How many fit into so many pixels.
  int64_t places(int64_t size) const { return (size + 2 * padding - kernel) / stride + 1; }
  bool operator==(const Window&) const = default;
};

/// The names of a batch norm's tensors, [C] each: y = (x - mean) / sqrt(variance + epsilon) weight
/// + bias.
struct NormNames {
  std::string weight, bias, mean, variance;
  double epsilon = 0;
};

/// Tensors are given by name, so that a program needs no weights.
struct Operation {
  OperationKind kind = OperationKind::convolution;
  std::vector<int> inputs;  // numbers of values
  int output = 0;
  Window window;             // convolutions and pools
  std::string weight, bias;  // convolution [out, in, k, k], linear [out, in]; bias [out], or ""
  std::optional<NormNames> norm;  // norms

  // What fold() moves into a convolution or linear layer, in the order of their effect.
  std::optional<NormNames> input_norm;   // into the weights' columns
  bool input_ones = false;               // the input has one channel more, of ones
  std::optional<NormNames> output_norm;  // into the weights' rows
  bool output_ones = false;              // one output channel more, of ones
  /// A convolution's second input is added to its answer.
  bool adds() const { return kind == OperationKind::convolution && inputs.size() == 2; }
  bool relu = false;  // additions and norms too
  bool pool = false;  // 2x2, stride 2
};

/// The channels, or channels, height and width, of one sample.
using ValueShape = std::vector<int64_t>;

class Program {
 public:
  /// Value 0 is the input.
  explicit Program(ValueShape input) : shapes_{std::move(input)} {}

  /// The newest value: what a network's next unit takes, and at the end the logits.
  int result() const { return static_cast<int>(shapes_.size()) - 1; }
  const ValueShape& shape(int value) const { return shapes_[static_cast<std::size_t>(value)]; }
  const std::vector<Operation>& operations() const { return operations_; }

  // Each adds an operation and returns the number of its output. A linear layer takes all of a
  // sample's numbers, channel by channel.
  int convolution(int x, int64_t out, const Window& window, std::string weight, std::string bias);
  int linear(int x, int64_t out, std::string weight, std::string bias);
  int norm(int x, NormNames names);
  int relu(int x);
  int add(int x, int y);
  int max_pool(int x, const Window& window);
  int average_pool(int x);  // over all pixels

  /// Lets `change` look at the name of every parameter ("" where there is no bias).
  void rename(const std::function<void(std::string& name)>& change);

 private:
  friend struct Folding;
  int push(Operation operation, ValueShape shape);
  std::vector<ValueShape> shapes_;
  std::vector<Operation> operations_;
};

/// The program with the norms moved into the layers beside them, exact but for rounding: into the
/// rows of the layer before where nothing stands between them, else into the columns of those after
/// it. One that has no such layers stays, with the ReLU after it. A convolution's padding is zero
/// after the norm, so there the norm's shift comes as one more input channel, which is 1 inside the
/// image: the layer before makes it. ReLU, pools and additions go into the layer before them where
/// no other operation reads what is between. Values keep their numbers.
struct FoldedProgram {
  Program program;
  /// Why there is none: a norm that no layer can take and that cannot stay.
  std::string obstacle;
  /// A norm's scale goes through a pool only where it is not below zero.
  struct PooledNorm {
    NormNames norm;
    int64_t convolution = 0;  // the pool is after this one, counted from 1
  };
  std::vector<PooledNorm> pooled_norms;
};
FoldedProgram fold(const Program& program);

/// The network's evaluation; of tied tensors the first one's name. Empty where one of its units
/// cannot be described.
std::optional<Program> describe(const Network& network);

}  // namespace bitstill
