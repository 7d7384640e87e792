// A rank's slices of a network's pieces.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bitstill/comm/channel.hpp"
#include "bitstill/comm/communicator.hpp"
#include "bitstill/model/piecewise.hpp"

namespace bitstill {

/// Piece p's plain form lies cut in `world` equal slices, the last ones padded with zeros.
struct Slices {
  int world = 1;
  std::vector<int64_t> offset;  // of piece p's slice in `mine`
  std::vector<int64_t> bytes;   // of one slice, a multiple of 64
  at::Tensor mine;              // uint8

  std::vector<int64_t> gathered_bytes() const;  // of each piece, all slices together
};

/// Begins to gather a piece into `all` [bytes[piece] * world]; both memories live until it is done.
/// Collective, as Channel::all_gather.
EventPtr gather(Channel& channel, const Slices& slices, std::size_t piece, const at::Tensor& all);

/// Ranks take pieces in turn: read, fold, scatter. Each byte of the source is read by one rank, and
/// none holds more than one whole piece. Error(model) and others of `source` on all ranks.
/// Collective: every rank of comm calls this.
Slices read_slices(const Piecewise& network, TensorSource& source, Communicator& comm);

}  // namespace bitstill
