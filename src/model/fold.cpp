// Program -> FoldedProgram: one pass over the operations.
#include <algorithm>
#include <initializer_list>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

struct Folding {
  static constexpr auto kConvolution = OperationKind::convolution, kLinear = OperationKind::linear,
                        kAdd = OperationKind::add, kNorm = OperationKind::norm,
                        kAveragePool = OperationKind::average_pool;

  /// What a value of the given program is in the folded one: value `stored`, normalized by `norm`.
  struct Value {
    int stored = 0;
    std::optional<NormNames> norm;
    bool sole = true;  // what it was made of has one reader only
  };

  explicit Folding(const Program& program)
      : given(program), folded{Program(program.shape(0)), "", {}} {
    folded.program.shapes_ = given.shapes_;
    values.resize(given.shapes_.size());
    readers.resize(given.shapes_.size(), 0);
    ones.resize(given.shapes_.size(), false);
    for (const Operation& operation : given.operations()) {
      for (const int input : operation.inputs) ++readers[at(input)];
    }
    ++readers[at(given.result())];
  }

  static std::size_t at(int value) { return static_cast<std::size_t>(value); }

  /// The value as the operation that reads it finds it.
  Value read(int value) const {
    Value result = values[at(value)];
    result.sole = result.sole && readers[at(value)] == 1;
    return result;
  }

  /// What made a stored value; null for the input.
  Operation* maker(int stored) {
    for (Operation& operation : folded.program.operations_) {
      if (operation.output == stored) return &operation;
    }
    return nullptr;
  }

  static bool is(const Operation* operation, std::initializer_list<OperationKind> kinds) {
    return operation != nullptr && std::count(kinds.begin(), kinds.end(), operation->kind) > 0;
  }

  /// The maker's output is from now on value `output`.
  void extend(Operation* maker, int output) {
    maker->output = output;
    values[at(output)] = {output, {}, true};
  }

  void keep(Operation operation) {
    for (int& input : operation.inputs) input = read(input).stored;
    values[at(operation.output)] = {operation.output, {}, true};
    folded.program.operations_.push_back(std::move(operation));
  }

  void layer(Operation operation) {
    operation.input_norm = read(operation.inputs[0]).norm;
    convolutions += is(&operation, {kConvolution}) ? 1 : 0;
    keep(std::move(operation));
  }

  /// Whether a channel of ones can be made in the value.
  bool can_make_ones(int stored) {
    const Operation* const before = maker(stored);
    if (is(before, {OperationKind::relu, OperationKind::max_pool})) {
      return can_make_ones(before->inputs[0]);
    }
    return is(before, {kConvolution}) && !before->adds();
  }

  /// Whether one of the norm's readers cannot take it.
  bool must_stay(const Operation& norm, int stored) {
    if (norm.output == given.result()) return true;
    for (const Operation& reader : given.operations()) {
      if (std::count(reader.inputs.begin(), reader.inputs.end(), norm.output) == 0) continue;
      if (is(&reader, {OperationKind::relu, kAdd, kNorm, kAveragePool})) return true;
      if (is(&reader, {kConvolution}) && reader.window.padding > 0 && !can_make_ones(stored)) {
        return true;
      }
    }
    return false;
  }

  void norm(const Operation& operation) {
    const Value value = read(operation.inputs[0]);
    Operation* const before = maker(value.stored);
    if (value.norm) {
      folded.obstacle = "a norm follows a norm";
    } else if (value.sole && is(before, {kConvolution, kLinear}) && !before->output_norm &&
               !before->relu && !before->pool && !before->adds()) {
      before->output_norm = operation.norm;
      extend(before, operation.output);
    } else if (must_stay(operation, value.stored)) {
      keep(operation);
    } else {
      values[at(operation.output)] = {value.stored, operation.norm, value.sole};
    }
  }

  void relu(const Operation& operation) {
    const Value value = read(operation.inputs[0]);
    Operation* const before = maker(value.stored);
    if (value.norm) {
      folded.obstacle = "a norm stands before ReLU and after no layer";
    } else if (value.sole && is(before, {kConvolution, kLinear, kAdd, kNorm}) && !before->pool) {
      before->relu = true;
      extend(before, operation.output);
    } else {
      keep(operation);
    }
  }

  /// Whether the convolution that makes `value` can add another stored value: that is there before
  /// and not the network's input, which is the caller's.
  bool can_add(const Value& value, int other) {
    const Operation* const before = maker(value.stored);
    const Operation* const others = maker(other);
    return value.sole && is(before, {kConvolution}) && !before->relu && !before->pool &&
           !before->adds() && others != nullptr && others < before;
  }

  void add(const Operation& operation) {
    const Value both[] = {read(operation.inputs[0]), read(operation.inputs[1])};
    if (both[0].norm || both[1].norm) {
      folded.obstacle = "a norm stands before an addition and after no layer";
    }
    for (const int i : {0, 1}) {
      if (!can_add(both[i], both[1 - i].stored)) continue;
      Operation* const before = maker(both[i].stored);
      before->inputs.push_back(both[1 - i].stored);
      extend(before, operation.output);
      return;
    }
    keep(operation);
  }

  void max_pool(const Operation& operation) {
    const Value value = read(operation.inputs[0]);
    Operation* const before = maker(value.stored);
    if (value.norm) folded.pooled_norms.push_back({*value.norm, convolutions});
    if (value.sole && is(before, {kConvolution}) && !before->pool && !before->adds() &&
        operation.window == Window{2, 2, 0}) {
      before->pool = true;
      extend(before, operation.output);
    } else {
      keep(operation);
    }
    values[at(operation.output)].norm = value.norm;
  }

  void average_pool(const Operation& operation) {
    if (read(operation.inputs[0]).norm)
      folded.obstacle = "a norm stands before a pool of all pixels";
    keep(operation);
  }

  /// Has one more channel made in the value, of ones.
  void ask_ones(int value) {
    if (ones[at(value)]) return;
    ones[at(value)] = true;
    Operation* const before = maker(value);
    if (is(before, {kConvolution}) && !before->adds()) {
      before->output_ones = true;
    } else if (is(before, {OperationKind::relu, OperationKind::max_pool})) {
      ask_ones(before->inputs[0]);  // ReLU and pools keep ones
    } else {
      folded.obstacle = "a norm after the input or an addition stands before a padded convolution";
    }
  }

  void give_ones() {
    std::vector<Operation>& operations = folded.program.operations_;
    for (const Operation& operation : operations) {
      if (operation.input_norm && operation.window.padding > 0) ask_ones(operation.inputs[0]);
    }
    for (Operation& operation : operations) {
      for (std::size_t i = 0; i < operation.inputs.size(); ++i) {
        if (!ones[at(operation.inputs[i])]) continue;
        operation.input_ones = is(&operation, {kConvolution, kLinear});
        if (is(&operation, {kAdd, kNorm, kAveragePool}) || (operation.adds() && i == 1)) {
          folded.obstacle = "what a norm before a padded convolution reads is read by others too";
        }
      }
    }
  }

  void run() {
    for (const Operation& operation : given.operations()) {
      switch (operation.kind) {
        case kConvolution:
        case kLinear:
          layer(operation);
          break;
        case kNorm:
          norm(operation);
          break;
        case OperationKind::relu:
          relu(operation);
          break;
        case kAdd:
          add(operation);
          break;
        case OperationKind::max_pool:
          max_pool(operation);
          break;
        case kAveragePool:
          average_pool(operation);
          break;
      }
      if (!folded.obstacle.empty()) return;
    }
    if (folded.program.operations_.empty() || values[at(given.result())].norm) {
      folded.obstacle = "it ends with a norm";
      return;
    }
    give_ones();
  }

  const Program& given;
  FoldedProgram folded;
  std::vector<Value> values;  // by number in the given program, as `readers`, `ones`
  std::vector<int> readers;
  std::vector<bool> ones;
  int64_t convolutions = 0;
};

FoldedProgram fold(const Program& program) {
  Folding folding(program);
  folding.run();
  return std::move(folding.folded);
}

}  // namespace bitstill
