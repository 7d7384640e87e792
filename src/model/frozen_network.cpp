#include "bitstill/model/frozen_network.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "bitstill/model/weights.hpp"
#include "frozen_program.hpp"

namespace bitstill {

const char* precision_name(InferencePrecision precision) {
  static constexpr const char* kNames[] = {"fp32", "bf16", "int8"};
  return kNames[static_cast<std::size_t>(precision)];
}

std::unique_ptr<FrozenNetwork> FrozenNetwork::make(const Network& network,
                                                   InferencePrecision precision,
                                                   const at::Tensor& sample, std::string* obstacle,
                                                   RowRuns runs) {
  const InferenceScope scope;
  *obstacle = obstacle_here(precision);
  for (const Parameter* parameter : network.parameters()) {
    if (!parameter->value.is_cpu()) *obstacle = "it is on a GPU";
  }
  if (!obstacle->empty()) return nullptr;
  NetworkSource source(network);
  FoldedProgram folded = folded_program(network, precision);
  *obstacle = folded.obstacle.empty() ? obstacle_in_weights(folded, source) : folded.obstacle;
  if (!obstacle->empty()) return nullptr;
  check_input(folded.program, sample);
  CodeScales scales;
  if (precision == InferencePrecision::int8) {
    scales = find_code_scales(folded.program, source, sample);
  }
  auto program = std::make_unique<FrozenProgram>(std::move(folded.program), precision,
                                                 std::move(scales), runs);
  std::unique_ptr<FrozenNetwork> frozen(
      new FrozenNetwork(std::move(program), precision, network.spec().classes));
  for (std::size_t i = 0; i < frozen->program_->layers(); ++i) {
    const FrozenLayer& layer = frozen->program_->layer(i);
    at::Tensor plain = at::empty({layer.plain_bytes(layer.rows())}, at::kByte);
    layer.read({0, layer.rows()}, source, plain.mutable_data_ptr());
    frozen->ready_.push_back(layer.make_ready(plain.const_data_ptr(), layer.rows()));
  }
  return frozen;
}

FrozenNetwork::FrozenNetwork(std::unique_ptr<const FrozenProgram> program,
                             InferencePrecision precision, int64_t classes)
    : program_(std::move(program)), precision_(precision), classes_(classes) {}

FrozenNetwork::~FrozenNetwork() = default;

at::Tensor FrozenNetwork::forward(const at::Tensor& x) const {
  const InferenceScope scope;
  if (x.size(0) == 0) return at::zeros({0, classes_});
  PassState state = program_->begin(x);
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    program_->run(i, ready_[i], {0, program_->layer(i).rows()}, &state);
  }
  return program_->finish(std::move(state)).narrow(0, 0, x.size(0));
}

}  // namespace bitstill
