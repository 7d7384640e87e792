#include "frozen_program.hpp"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/quantize_per_tensor.h>

#include <algorithm>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "plain_operations.hpp"

namespace bitstill {
namespace {

std::size_t at_index(int value) {
  return static_cast<std::size_t>(value);
}

/// Whether a layer has more than one run of rows.
bool has_wide_layer(const Program& program) {
  return std::any_of(program.operations().begin(), program.operations().end(),
                     [&](const Operation& one) {
                       return !one.weight.empty() && program.shape(one.output)[0] > kRowRun;
                     });
}

}  // namespace

std::string obstacle_here(InferencePrecision precision) {
  if (!at::hasMKLDNN()) return "this LibTorch was built without oneDNN";
  if (precision == InferencePrecision::fp32) return "";
  if (!c10::Dispatcher::singleton()
           .findSchemaOrThrow("mkldnn::_is_mkldnn_bf16_supported", "")
           .typed<bool()>()
           .call()) {
    return "this processor has no instructions for bf16 (avx512bw, avx512vl, avx512dq)";
  }
  if (precision == InferencePrecision::bf16) return "";
  // Without these oneDNN adds pairs of 8-bit products in 16 bits, which overflow.
  if (!at::cpu::is_avx512_vnni_supported()) {
    return "this processor has no instructions for 8-bit codes (avx512_vnni)";
  }
  return "";
}

FoldedProgram folded_program(const Network& network, InferencePrecision precision) {
  const std::optional<Program> program = describe(network);
  if (!program) {
    return {Program({}), "a layer of it is neither a convolution nor fully connected", {}};
  }
  FoldedProgram folded = fold(*program);
  if (folded.obstacle.empty() && precision == InferencePrecision::int8) {
    folded.obstacle = obstacle_to_codes(folded.program);
  }
  return folded;
}

void check_input(const Program& program, const at::Tensor& x) {
  const at::IntArrayRef shape = program.shape(0);
  if (x.dim() == 4 && x.sizes().slice(1) == shape) return;
  throw Error(ExitCode::data,
              concat("values of shape ", x.sizes(), " are no batch of images ", shape));
}

FrozenProgram::FrozenProgram(Program folded, InferencePrecision precision, CodeScales scales,
                             RowRuns runs)
    : folded_(std::make_unique<const Program>(std::move(folded))),
      type_(precision == InferencePrecision::fp32 ? at::kFloat : at::kBFloat16) {
  if (precision == InferencePrecision::int8) {
    are_codes_ = code_values(*folded_);
    if (scales.empty()) scales = code_places(*folded_);
    codes_ = scales.front();
  }
  if (runs == RowRuns::as_processor) {
    runs = has_wide_layer(*folded_) ? row_runs_here(precision) : RowRuns::whole;
  }
  std::vector<bool> read_later(at_index(folded_->result()) + 1, false);
  read_later.back() = true;
  for (const Operation& operation : folded_->operations()) {
    Step step{operation, nullptr, {}, false};
    if (has_weights(operation)) {
      const std::size_t i = layer_steps_.size();
      step.layer = FrozenLayer::make(*folded_, operation, type_,
                                     i < scales.size() ? &scales[i] : nullptr, runs);
      layer_steps_.push_back(steps_.size());
    }
    steps_.push_back(std::move(step));
  }
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    const std::vector<int>& inputs = step->operation.inputs;
    step->replaces =
        step->operation.adds() && inputs[0] != inputs[1] && !read_later[at_index(inputs[1])];
    if (step->replaces) read_later[at_index(inputs[1])] = true;  // it goes at once
    for (const int input : inputs) {
      if (!read_later[at_index(input)]) step->done.push_back(input);
      read_later[at_index(input)] = true;
    }
  }
}

const std::string& FrozenProgram::name(std::size_t i) const {
  const Operation& operation = steps_[layer_steps_[i]].operation;
  return operation.norm ? operation.norm->weight : operation.weight;
}

int64_t FrozenProgram::value_bytes(std::size_t layer) const {
  const auto bytes_of = [&](int value, const Step* maker) {
    const bool codes = codes_ && are_codes_[at_index(value)];
    const int64_t channels = folded_->shape(value)[0];
    const int64_t pixels = c10::multiply_integers(folded_->shape(value)) / channels;
    const int64_t stored = maker && maker->layer ? maker->layer->stored_rows() : channels;
    return stored * pixels * static_cast<int64_t>(codes ? 1 : c10::elementSize(type_));
  };
  int64_t held = bytes_of(0, nullptr);
  for (std::size_t s = 0;; ++s) {
    const auto drop = [&](int value) {
      const auto maker = std::find_if(steps_.begin(), steps_.end(), [&](const Step& step) {
        return step.operation.output == value;
      });
      held -= bytes_of(value, maker == steps_.end() ? nullptr : &*maker);
    };
    if (steps_[s].replaces) drop(steps_[s].operation.inputs[1]);
    held += bytes_of(steps_[s].operation.output, &steps_[s]);
    if (s == layer_steps_[layer]) return held;
    for (const int value : steps_[s].done) drop(value);
  }
}

at::Tensor FrozenProgram::enter(const at::Tensor& given) const {
  const at::Tensor x = given.contiguous(at::MemoryFormat::ChannelsLast);
  if (!codes_) return x.to(type_);
  return at::quantize_per_tensor(x, codes_->in_scale, codes_->in_zero, at::kQUInt8).int_repr();
}

PassState FrozenProgram::begin(const at::Tensor& x) const {
  check_input(*folded_, x);
  PassState state;
  state.values.resize(at_index(folded_->result()) + 1);
  // Alone in its batch a sample would be summed in another order.
  state.values[0] = enter(x.size(0) == 1 ? at::cat({x, x}) : x);
  run_between(0, &state);
  return state;
}

void FrozenProgram::run(std::size_t i, std::span<const ReadyRows> ready, RowRange rows,
                        PassState* state) const {
  const Step& step = steps_[layer_steps_[i]];
  const std::vector<int>& inputs = step.operation.inputs;
  at::Tensor& given = state->values[at_index(inputs[0])];
  at::Tensor& answer = state->values[at_index(step.operation.output)];
  if (step.operation.adds() && !answer.defined()) {
    at::Tensor& added = state->values[at_index(inputs[1])];
    answer = step.layer->addend(added, step.replaces);
    if (step.replaces) added = at::Tensor();
  }
  const at::Tensor x = step.layer->input(given);
  const bool last = rows.first + rows.count == step.layer->rows();
  const bool done = std::count(step.done.begin(), step.done.end(), inputs[0]) > 0;
  if (done) given = last ? at::Tensor() : x;  // for the rows to come
  step.layer->run(ready, rows, x, &answer);
  if (last) run_between(layer_steps_[i] + 1, state);
}

void FrozenProgram::run_between(std::size_t first, PassState* state) const {
  for (std::size_t s = first; s < steps_.size() && !steps_[s].layer; ++s) {
    const Operation& operation = steps_[s].operation;
    state->values[at_index(operation.output)] = compute(operation, state->values);
    for (const int value : steps_[s].done) state->values[at_index(value)] = at::Tensor();
  }
}

at::Tensor FrozenProgram::finish(PassState&& state) const {
  return state.values.back().to(at::kFloat);
}

}  // namespace bitstill
