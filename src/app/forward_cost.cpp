#include "forward_cost.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>

#include "bitstill/base/text.hpp"
#include "bitstill/model/frozen_pieces.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {
namespace {

int64_t numbers(const ValueShape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::optional<ForwardCost> inference_cost(const Network& network, InferencePrecision precision) {
  constexpr int64_t kUncut = int64_t{1} << 50;  // bytes of a piece
  std::string obstacle;
  const auto pieces = make_frozen_pieces(network, {precision, kUncut, {}}, nullptr, &obstacle);
  if (!pieces) return {};
  ForwardCost cost;
  for (const Piece& piece : pieces->pieces()) {
    cost.multiply_adds += piece.multiply_adds;
    cost.value_bytes = std::max(cost.value_bytes, piece.value_bytes);
  }
  return cost;
}

std::optional<ForwardCost> training_cost(const Network& network, bool bf16) {
  const std::optional<Program> program = describe(network);
  if (!program) return {};
  ForwardCost cost;
  int64_t values = numbers(program->shape(0));
  for (const Operation& operation : program->operations()) {
    const ValueShape& in = program->shape(operation.inputs[0]);
    const int64_t out = numbers(program->shape(operation.output));
    values += out;
    if (operation.kind == OperationKind::convolution) {
      cost.multiply_adds += out * in[0] * operation.window.kernel * operation.window.kernel;
    } else if (operation.kind == OperationKind::linear) {
      cost.multiply_adds += out * numbers(in);
    }
  }
  cost.value_bytes = values * (bf16 ? 2 : 4);
  return cost;
}

std::string to_text(const ForwardCost& cost, int64_t images) {
  char count[32];
  std::snprintf(count, sizeof count, "%.4g", static_cast<double>(cost.multiply_adds));
  return concat(count, " multiply-adds an image; values of ", images, " images ",
                human_bytes(static_cast<double>(cost.value_bytes * images)));
}

}  // namespace bitstill
