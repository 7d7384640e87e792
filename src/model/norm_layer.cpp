// Norms that no other layer can take: a scale, a shift and ReLU for each channel; in bf16 by SIMD.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <utility>

#include "code_kernel.hpp"
#include "frozen_layer.hpp"
#include "norm_parts.hpp"

namespace bitstill {
namespace {

/// y = [ReLU](x scale + shift) of pixels [begin, end), whose channels lie together.
template <class Value>
void scale_pixels(const Value* x, const at::Tensor& scale, const at::Tensor& shift, bool relu,
                  int64_t begin, int64_t end, Value* y) {
  const float* const by = scale.const_data_ptr<float>();
  const float* const plus = shift.const_data_ptr<float>();
  const int64_t channels = scale.numel();
  const float least = relu ? 0.0f : -std::numeric_limits<float>::infinity();
  for (int64_t i = begin * channels; i < end * channels; i += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float v = static_cast<float>(x[i + c]) * by[c] + plus[c];
      y[i + c] = static_cast<Value>(v < least ? least : v);  // a NaN stays one
    }
  }
}

class NormLayer : public FrozenLayer {
 public:
  NormLayer(const Program& folded, const Operation& layer, LayerCodes codes)
      : FrozenLayer(folded, layer, std::move(codes), RowRuns::whole) {}

  int64_t ready_bytes(int64_t rows) const override { return plain_bytes(rows); }

  at::Tensor input(const at::Tensor& x) const override {
    return x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x.contiguous();
  }

 private:
  std::vector<Section> sections(int64_t rows) const override {
    return {{{rows}, at::kFloat}, {{rows}, at::kFloat}};
  }

  void write(const FoldedRows& rows, const Tensors& plain) const override {
    plain[0].copy_(rows.weight);
    plain[1].copy_(rows.bias);
  }

  ReadyRows prepare(const Tensors& plain, int64_t /*rows*/) const override {
    // What answers codes does so in their unit.
    return {plain[0] / codes_.out_scale, plain[1] / codes_.out_scale, {}, {}};
  }

  void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                at::Tensor* y) const override {
    const at::Tensor mine =
        rows.count == this->rows() ? x : input(x.narrow(1, rows.first, rows.count));
    if (mine.scalar_type() == at::kBFloat16 && layer_.relu) {
      put(cut_off(ready, mine), rows, y);
      return;
    }
    at::Tensor answer = at::empty_like(mine);
    const int64_t pixels = mine.numel() / rows.count, grain = 1 + 32768 / rows.count;
    at::parallel_for(0, pixels, grain, [&](int64_t begin, int64_t end) {
      if (mine.scalar_type() == at::kFloat) {
        scale_pixels(mine.const_data_ptr<float>(), ready.weight, ready.bias, layer_.relu, begin,
                     end, answer.mutable_data_ptr<float>());
      } else {
        scale_pixels(mine.const_data_ptr<at::BFloat16>(), ready.weight, ready.bias, layer_.relu,
                     begin, end, answer.mutable_data_ptr<at::BFloat16>());
      }
    });
    put(answer, rows, y);
  }

  /// Of bf16 values, with ReLU.
  at::Tensor cut_off(const ReadyRows& ready, const at::Tensor& x) const {
    at::Tensor y = at::empty_like(x, codes_.answers_codes ? at::kByte : at::kBFloat16);
    const at::Tensor zeros = at::zeros_like(ready.bias);
    const float* const scale = ready.weight.const_data_ptr<float>();
    const float* const shift = ready.bias.const_data_ptr<float>();
    Parts(rows_of(x)).run([&](const Bf16Rows& part, int64_t first, int64_t) {
      if (codes_.answers_codes) {
        normalize_to_codes(part, scale, shift, y.mutable_data_ptr<uint8_t>() + first);
      } else {
        normalize_relu(part, zeros.const_data_ptr<float>(), scale, shift, nullptr, bits(y) + first);
      }
    });
    return y;
  }
};

}  // namespace

std::unique_ptr<FrozenLayer> make_norm_layer(const Program& folded, const Operation& layer,
                                             LayerCodes codes) {
  return std::make_unique<NormLayer>(folded, layer, std::move(codes));
}

}  // namespace bitstill
