#include "bitstill/model/unit_pieces.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/model/autocast.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {

PassState Piecewise::begin(const Tokens& /*tokens*/) const {
  throw std::logic_error("these pieces are of a network of images");
}

namespace {

constexpr int64_t kAlignment = 64;

/// One tensor of a unit within the piece's plain form.
struct Place {
  std::string name;
  at::Tensor* value;  // the unit's own
  std::vector<int64_t> shape;
  int64_t offset = 0;  // bytes
  int64_t count = 0;
};

class UnitPieces final : public Piecewise {
 public:
  UnitPieces(std::unique_ptr<Network> skeleton, bool bf16, const at::Device& device)
      : network_(std::move(skeleton)),
        bf16_(bf16),
        sentences_(of_sentences(network_->spec())),
        device_(device) {
    const std::map<std::string, std::string> names = stored_names(*network_);
    for (const auto& unit : network_->units()) {
      std::vector<Place>& places = places_.emplace_back();
      int64_t bytes = 0;
      const auto add = [&](const std::string& name, at::Tensor& value) {
        places.push_back({name, &value, value.sizes().vec(), bytes, value.numel()});
        bytes += (4 * value.numel() + kAlignment - 1) / kAlignment * kAlignment;
      };
      for (Parameter* parameter : unit->parameters()) {
        add(names.at(parameter->name), parameter->value);
      }
      for (Buffer* buffer : unit->buffers()) add(buffer->name, buffer->value);
      pieces_.push_back({concat("unit ", pieces_.size() + 1), bytes, 0});
    }
    for (const std::vector<Place>& places : places_) unbind(places);  // each run gives them values
    // The head's weights stay until the last of its rows has been asked for.
    if (sentences_) pieces_.back().ready_bytes = pieces_.back().plain_bytes;
  }

  std::span<const Piece> pieces() const override { return pieces_; }

  void read(std::size_t piece, TensorSource& source, void* plain) const override {
    std::memset(plain, 0, static_cast<std::size_t>(pieces_[piece].plain_bytes));
    for (const Place& place : places_[piece]) {
      const at::Tensor value = source.whole(place.name).contiguous();
      std::memcpy(static_cast<char*>(plain) + place.offset, value.const_data_ptr(),
                  4 * static_cast<std::size_t>(place.count));
    }
  }

  /// A sample's answer may depend on its batch where that is of one row alone: such a batch has its
  /// row twice.
  PassState begin(const at::Tensor& x) const override {
    return {{x.size(0) == 1 ? at::cat({x, x}) : x}};
  }

  PassState begin(const Tokens& tokens) const override {
    PassState state;
    state.flow.tokens = &tokens;
    return state;
  }

  void run(std::size_t piece, const void* plain, std::span<PassState> states) const override {
    const at::NoGradGuard no_grad;
    if (sentences_ && piece + 1 == pieces_.size()) {
      const PassHead head = kept_head(plain);
      for (PassState& state : states) state.head = head;
      return;
    }
    const AutocastScope own(bf16_, device_);
    bind(places_[piece], plain);
    Unit& unit = *network_->units()[piece];
    for (PassState& state : states) {
      if (sentences_) {
        unit.pass(state.flow, ForwardMode{});
      } else {
        state.values[0] = unit.forward(state.values[0], ForwardMode{});
      }
    }
    unbind(places_[piece]);
  }

  PassResult finish(PassState&& state) const override {
    if (!sentences_) return {std::move(state.values[0]).to(at::kFloat)};
    return {Network::rows_of(state.flow), std::move(state.head)};
  }

 private:
  void bind(const std::vector<Place>& places, const void* plain) const {
    for (const Place& place : places) {
      auto* const values = static_cast<char*>(const_cast<void*>(plain)) + place.offset;
      *place.value = at::from_blob(values, place.shape, at::TensorOptions(device_));
    }
  }

  static void unbind(const std::vector<Place>& places) {
    for (const Place& place : places) *place.value = at::Tensor();
  }

  PassHead kept_head(const void* plain) const {
    const at::Tensor kept = at::from_blob(const_cast<void*>(plain), {pieces_.back().plain_bytes},
                                          at::TensorOptions(device_).dtype(at::kByte))
                                .clone();
    return [this, kept](const at::Tensor& rows) {
      const at::NoGradGuard no_grad;
      const AutocastScope own(bf16_, device_);
      bind(places_.back(), kept.const_data_ptr());
      const at::Tensor logits = network_->head(rows, ForwardMode{}).to(at::kFloat);
      unbind(places_.back());
      return logits;
    };
  }

  std::unique_ptr<Network> network_;
  bool bf16_, sentences_;
  at::Device device_;
  std::vector<Piece> pieces_;
  std::vector<std::vector<Place>> places_;  // of each piece
};

}  // namespace

std::unique_ptr<Piecewise> make_unit_pieces(std::unique_ptr<Network> skeleton, bool bf16,
                                            const at::Device& device) {
  return std::make_unique<UnitPieces>(std::move(skeleton), bf16, device);
}

}  // namespace bitstill
