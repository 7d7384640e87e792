// Convolutions on 8-bit codes, by oneDNN.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "code_kernel.hpp"
#include "frozen_layer.hpp"
#include "norm_parts.hpp"
#include "onednn.hpp"

namespace bitstill {
namespace {

/// 2x2 max-pool of codes, channels-last; LibTorch's takes no plain uint8.
at::Tensor pool_codes(const at::Tensor& given) {
  const at::Tensor x = given.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t n = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  at::Tensor y = at::empty({n, channels, height / 2, width / 2},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const uint8_t* const in = x.const_data_ptr<uint8_t>();
  uint8_t* out = y.mutable_data_ptr<uint8_t>();
  for (int64_t image = 0; image < n; ++image) {
    for (int64_t row = 0; row + 1 < height; row += 2) {
      const uint8_t* top = in + (image * height + row) * width * channels;
      for (int64_t column = 0; column + 1 < width; column += 2, top += 2 * channels) {
        const uint8_t* const below = top + width * channels;
        for (int64_t c = 0; c < channels; ++c) {
          out[c] = std::max(std::max(top[c], top[channels + c]),
                            std::max(below[c], below[channels + c]));
        }
        out += channels;
      }
    }
  }
  return y;
}

/// x [n, C, H, W] bf16, channels-last, as codes.
at::Tensor codes_of(const at::Tensor& x, const LayerCodes& codes) {
  at::Tensor y = at::empty_like(x, x.options().dtype(at::kByte));
  const auto by = static_cast<float>(1 / codes.in_scale);
  const auto plus = static_cast<float>(codes.in_zero);
  const uint16_t* const in = bits(x);
  uint8_t* const out = y.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, x.numel(), 32768, [&](int64_t begin, int64_t end) {
    to_codes(in + begin, end - begin, by, plus, out + begin);
  });
  return y;
}

class CodeLayer : public FrozenLayer {
 public:
  CodeLayer(const Program& folded, const Operation& layer, LayerCodes codes, RowRuns runs)
      : FrozenLayer(folded, layer, std::move(codes), runs), window_(window()) {}

  at::Tensor input(const at::Tensor& x) const override {
    const at::Tensor values = x.contiguous(at::MemoryFormat::ChannelsLast);
    if (x.scalar_type() == at::kByte) return values;
    return codes_of(values, codes_);
  }

 private:
  at::Tensor pooled(const at::Tensor& x) const {
    return codes_.answers_codes ? pool_codes(x) : at::max_pool2d(x, 2);
  }

  std::vector<Section> sections(int64_t rows) const override {
    const int64_t k = layer_.window.kernel;
    return {{{rows, k, k, size_.in}, at::kChar}, {{rows}, at::kFloat}, {{rows}, at::kFloat}};
  }

  void write(const FoldedRows& rows, const Tensors& plain) const override {
    const at::Tensor scale = rows.weight.abs().amax({1, 2, 3}).div(127).clamp_min(1e-12);
    plain[0].permute({0, 3, 1, 2}).copy_(rows.weight.div(scale.view({-1, 1, 1, 1})).round());
    plain[1].copy_(rows.bias);
    plain[2].copy_(scale);
  }

  ReadyRows prepare(const Tensors& plain, int64_t rows) const override {
    const at::Tensor scale = plain[2].clone();
    return {onednn("onednn::qconv_prepack",
                   {plain[0].permute({0, 3, 1, 2}), scale, codes_.in_scale, codes_.in_zero,
                    window_.stride, window_.padding, pair_of(1), 1, input_sizes(window_)}),
            plain[1].clone(), scale, at::zeros({rows}, at::kInt)};
  }

  void run_rows(const ReadyRows& ready, RowRange rows, const at::Tensor& x,
                at::Tensor* y) const override {
    using Arguments = std::vector<c10::IValue>;
    const at::Tensor padded = window_.pad(x, static_cast<double>(codes_.in_zero));
    Arguments all = {padded,       codes_.in_scale, codes_.in_zero,
                     ready.weight, ready.scale,     ready.zero};
    const auto add = [&](const Arguments& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    if (layer_.adds()) add({take(rows, *y)});
    add({ready.bias, window_.stride, window_.padding, pair_of(1), 1, codes_.out_scale, 0,
         codes_.answers_codes ? at::kByte : at::kBFloat16});
    if (layer_.adds()) add({1.0, 0, "sum", 1.0});
    add({onednn_after(layer_.relu), no_scalars(), ""});
    const at::Tensor answer =
        onednn("onednn::qconv2d_pointwise", std::move(all), layer_.adds() ? "binary" : "");
    put(layer_.pool ? pooled(answer) : answer, rows, y);
  }

  OnednnWindow window_;
};

}  // namespace

std::unique_ptr<FrozenLayer> make_code_layer(const Program& folded, const Operation& layer,
                                             LayerCodes codes, RowRuns runs) {
  return std::make_unique<CodeLayer>(folded, layer, std::move(codes), runs);
}

}  // namespace bitstill
