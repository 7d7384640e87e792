#include "bitstill/model/program.hpp"

#include <map>
#include <utility>

#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

Operation operation_of(OperationKind kind, std::vector<int> inputs) {
  Operation operation;
  operation.kind = kind;
  operation.inputs = std::move(inputs);
  return operation;
}

}  // namespace

int Program::push(Operation operation, ValueShape shape) {
  shapes_.push_back(std::move(shape));
  operation.output = result();
  operations_.push_back(std::move(operation));
  return result();
}

int Program::convolution(int x, int64_t out, const Window& window, std::string weight,
                         std::string bias) {
  Operation operation = operation_of(OperationKind::convolution, {x});
  operation.window = window;
  operation.weight = std::move(weight);
  operation.bias = std::move(bias);
  const ValueShape& in = shape(x);
  return push(std::move(operation), {out, window.places(in.at(1)), window.places(in.at(2))});
}

int Program::linear(int x, int64_t out, std::string weight, std::string bias) {
  Operation operation = operation_of(OperationKind::linear, {x});
  operation.weight = std::move(weight);
  operation.bias = std::move(bias);
  return push(std::move(operation), {out});
}

int Program::norm(int x, NormNames names) {
  Operation operation = operation_of(OperationKind::norm, {x});
  operation.norm = std::move(names);
  return push(std::move(operation), shape(x));
}

int Program::relu(int x) {
  return push(operation_of(OperationKind::relu, {x}), shape(x));
}

int Program::add(int x, int y) {
  return push(operation_of(OperationKind::add, {x, y}), shape(x));
}

int Program::max_pool(int x, const Window& window) {
  Operation operation = operation_of(OperationKind::max_pool, {x});
  operation.window = window;
  const ValueShape& in = shape(x);
  return push(std::move(operation), {in.at(0), window.places(in.at(1)), window.places(in.at(2))});
}

int Program::average_pool(int x) {
  return push(operation_of(OperationKind::average_pool, {x}), {shape(x).at(0)});
}

void Program::rename(const std::function<void(std::string&)>& change) {
  for (Operation& operation : operations_) {
    change(operation.weight);
    change(operation.bias);
    if (!operation.norm) continue;
    for (std::string* name : {&operation.norm->weight, &operation.norm->bias}) change(*name);
  }
}

std::optional<Program> describe(const Network& network) {
  const ImageShape& input = network.spec().input;
  Program program({input.channels, input.height, input.width});
  for (const auto& unit : network.units()) {
    if (!unit->describe(program)) return {};
  }
  const std::map<std::string, std::string> names = stored_names(network);
  program.rename([&](std::string& name) {
    if (!name.empty()) name = names.at(name);
  });
  return program;
}

}  // namespace bitstill
