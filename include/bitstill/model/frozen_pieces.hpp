// A frozen network's inference in pieces, on the CPU: weights come when they run, and go.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bitstill/model/code_scales.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/piecewise.hpp"

namespace bitstill {

struct FrozenPieceOptions {
  InferencePrecision precision = InferencePrecision::fp32;
  /// A piece is the fewest rows of a layer that take as much in the plain form: a multiple of 256,
  /// or 48 where Winograd's method runs them.
  int64_t piece_bytes = 1 << 20;
  /// int8: of find_code_scales(); empty where only sizes are asked for.
  CodeScales scales;
  RowRuns runs = RowRuns::as_processor;
};

/// Answers as a FrozenNetwork of the same runs does, to the bit. Of the network only names and
/// shapes are read, so it may be without weights. `source`: reads the scales of norms before pools;
/// null: they are not looked at. Null, with the reason in `obstacle`, where FrozenNetwork::make is.
std::unique_ptr<Piecewise> make_frozen_pieces(const Network& network,
                                              const FrozenPieceOptions& options,
                                              TensorSource* source, std::string* obstacle);

/// For int8; `sample` as FrozenNetwork::make's, the weights from `source`, one layer at a time.
/// Empty where the network cannot run so: make_frozen_pieces says why.
CodeScales find_code_scales(const Network& network, TensorSource& source, const at::Tensor& sample);

}  // namespace bitstill
