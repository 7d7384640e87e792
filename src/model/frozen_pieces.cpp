#include "bitstill/model/frozen_pieces.hpp"

#include <algorithm>
#include <utility>

#include "frozen_program.hpp"

namespace bitstill {
namespace {

class FrozenPieces : public Piecewise {
 public:
  FrozenPieces(Program folded, const FrozenPieceOptions& options)
      : program_(std::move(folded), options.precision, options.scales, options.runs) {
    for (std::size_t i = 0; i < program_.layers(); ++i) cut(i, options.piece_bytes);
  }

  std::span<const Piece> pieces() const override { return pieces_; }

  void read(std::size_t piece, TensorSource& source, void* plain) const override {
    const InferenceScope scope;
    const Place& place = places_[piece];
    program_.layer(place.layer).read(place.rows, source, plain);
  }

  PassState begin(const at::Tensor& x) const override {
    const InferenceScope scope;
    return program_.begin(x);
  }

  void run(std::size_t piece, const void* plain, std::span<PassState> states) const override {
    const InferenceScope scope;
    const Place& place = places_[piece];
    const std::vector<ReadyRows> ready =
        program_.layer(place.layer).make_ready(plain, place.rows.count);
    for (PassState& state : states) program_.run(place.layer, ready, place.rows, &state);
  }

  PassResult finish(PassState&& state) const override {
    const InferenceScope scope;
    return {program_.finish(std::move(state))};
  }

 private:
  struct Place {
    std::size_t layer = 0;
    RowRange rows;
  };

  void cut(std::size_t i, int64_t piece_bytes) {
    const FrozenLayer& layer = program_.layer(i);
    const int64_t rows = layer.rows(), at_once = layer.rows_at_once(piece_bytes);
    for (int64_t first = 0; first < rows; first += at_once) {
      const int64_t count = std::min(at_once, rows - first);
      const bool as_before = first > 0 && count == at_once;
      const int64_t ready = as_before ? pieces_.back().ready_bytes : layer.ready_bytes(count);
      places_.push_back({i, {first, count}});
      pieces_.push_back({program_.name(i), layer.plain_bytes(count), ready,
                         layer.multiply_adds(count), program_.value_bytes(i)});
    }
  }

  FrozenProgram program_;
  std::vector<Place> places_;
  std::vector<Piece> pieces_;
};

}  // namespace

std::unique_ptr<Piecewise> make_frozen_pieces(const Network& network,
                                              const FrozenPieceOptions& options,
                                              TensorSource* source, std::string* obstacle) {
  const InferenceScope scope;
  *obstacle = obstacle_here(options.precision);
  if (!obstacle->empty()) return nullptr;
  FoldedProgram folded = folded_program(network, options.precision);
  *obstacle = folded.obstacle;
  if (obstacle->empty() && source != nullptr) *obstacle = obstacle_in_weights(folded, *source);
  if (!obstacle->empty()) return nullptr;
  return std::make_unique<FrozenPieces>(std::move(folded.program), options);
}

CodeScales find_code_scales(const Network& network, TensorSource& source,
                            const at::Tensor& sample) {
  const InferenceScope scope;
  const FoldedProgram folded = folded_program(network, InferencePrecision::int8);
  if (!folded.obstacle.empty()) return {};
  check_input(folded.program, sample);
  return find_code_scales(folded.program, source, sample);
}

}  // namespace bitstill
