// A network's inference cut into pieces whose weights come and go: what a teacher in slices runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bitstill/model/flow.hpp"

namespace bitstill {

/// Where weights come from: a model file, or a network in memory.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Rows [first, first + count) of the tensor's first dimension: fp32, contiguous, on the CPU.
  virtual at::Tensor rows(const std::string& name, int64_t first, int64_t count) = 0;
  /// All of it.
  virtual at::Tensor whole(const std::string& name) = 0;
  /// Bytes that it has read from a file so far.
  virtual int64_t bytes_read() const { return 0; }
};

/// A run of output rows of one layer. Its weights in the plain form (folded, in the type that is
/// computed in) are what is stored in slices and travels.
struct Piece {
  std::string name;         // of the layer, for messages
  int64_t plain_bytes = 0;  // a multiple of 64
  int64_t ready_bytes = 0;  // what running it takes besides: the kernels' own layout of the weights
  int64_t multiply_adds = 0;  // of one sample, counted directly
  int64_t value_bytes = 0;    // of one sample's values that are held while it runs
};

/// A network's last unit, by the weights of its piece, which it keeps: rows [count, size] -> logits
/// [count, classes] fp32.
using PassHead = std::function<at::Tensor(const at::Tensor& rows)>;

/// What a pass over a micro-batch holds between pieces.
struct PassState {
  std::vector<at::Tensor> values;
  Flow flow = {};      // of sentences, in place of values
  PassHead head = {};  // of sentences, once its piece has run
};

/// What a pass leaves: logits fp32 [n or more, classes], x's rows first; of sentences hidden rows
/// [terms, size] and the head that makes logits of them.
struct PassResult {
  at::Tensor rows;
  PassHead head = {};
};

/// Pieces run in order, each over every micro-batch; a sample's logits do not depend, to the bit,
/// on the others of its batch, nor on how the network is cut.
class Piecewise {
 public:
  virtual ~Piecewise() = default;
  virtual std::span<const Piece> pieces() const = 0;
  /// The piece's plain form from the tensors of a file or network, into `plain` [plain_bytes], on
  /// the CPU. Reads only the rows that it needs (and small vectors of its neighbours).
  virtual void read(std::size_t piece, TensorSource& source, void* plain) const = 0;
  /// x [n, C, H, W] fp32 on the device that is computed on, n > 0.
  virtual PassState begin(const at::Tensor& x) const = 0;
  /// Of a network of sentences; the tokens outlive the pass. std::logic_error for one of images.
  virtual PassState begin(const Tokens& tokens) const;
  /// Makes `plain` [plain_bytes] (aligned to 64; on the device) ready, and runs it over all states.
  virtual void run(std::size_t piece, const void* plain, std::span<PassState> states) const = 0;
  /// After the last piece. A head uses the pieces' network, which outlives it.
  virtual PassResult finish(PassState&& state) const = 0;
};

}  // namespace bitstill
