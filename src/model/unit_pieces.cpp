#include "bitstill/model/unit_pieces.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <cstring>
#include <map>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/model/autocast.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
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
      : network_(std::move(skeleton)), bf16_(bf16), device_(device) {
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
    for (std::vector<Place>& places : places_) {
      for (Place& place : places) *place.value = at::Tensor();  // each run gives it its values
    }
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

  void run(std::size_t piece, const void* plain, std::span<PassState> states) const override {
    const at::NoGradGuard no_grad;
    const AutocastScope own(bf16_, device_);
    for (const Place& place : places_[piece]) {
      auto* const values = static_cast<char*>(const_cast<void*>(plain)) + place.offset;
      *place.value = at::from_blob(values, place.shape, at::TensorOptions(device_));
    }
    for (PassState& state : states) {
      state.values[0] = network_->units()[piece]->forward(state.values[0], ForwardMode{});
    }
    for (const Place& place : places_[piece]) *place.value = at::Tensor();
  }

  at::Tensor finish(PassState&& state) const override {
    return std::move(state.values[0]).to(at::kFloat);
  }

 private:
  std::unique_ptr<Network> network_;
  bool bf16_;
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
