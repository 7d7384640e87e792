#include "bitstill/model/dropout.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>

#include "bitstill/base/random.hpp"

namespace bitstill {
namespace {

using PhiloxKey = std::array<uint32_t, 2>;

/// 0 where a number of RandomStream(dropout_seed, dropout, place) has 24 bits below `dropped`, else
/// `keep`.
void draw(const PhiloxKey& key, uint64_t place, uint32_t dropped, float keep,
          const at::Tensor& to) {
  float* const value = to.mutable_data_ptr<float>();
  const int64_t count = to.numel();
  at::parallel_for(0, (count + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto words = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(place),
                                 static_cast<uint32_t>(place >> 32), 0},
                                key);
      const int64_t first = 4 * block;
      for (int64_t i = first; i < std::min(first + 4, count); ++i) {
        value[i] = words[static_cast<std::size_t>(i - first)] >> 8 < dropped ? 0.0f : keep;
      }
    }
  });
}

}  // namespace

at::Tensor philox_blocks(const PhiloxKey& key, uint64_t place, int64_t blocks,
                         const at::Device& device) {
  constexpr int64_t kLow = 0xFFFFFFFF;
  const auto high = [](const at::Tensor& product) {  // an arithmetic shift's signs masked away
    return product.__rshift__(32).bitwise_and_(kLow);
  };
  at::Tensor counter[4] = {at::arange(blocks, at::TensorOptions().dtype(at::kLong).device(device))};
  counter[1] = at::full_like(counter[0], static_cast<int64_t>(place & kLow));
  counter[2] = at::full_like(counter[0], static_cast<int64_t>(place >> 32));
  counter[3] = at::zeros_like(counter[0]);
  uint32_t key_0 = key[0], key_1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const at::Tensor first = counter[0] * int64_t{0xD2511F53};  // modulo 2^64
    const at::Tensor second = counter[2] * int64_t{0xCD9E8D57};
    counter[0] = high(second).bitwise_xor_(counter[1]).bitwise_xor_(int64_t{key_0});
    counter[1] = second.bitwise_and(kLow);
    counter[2] = high(first).bitwise_xor_(counter[3]).bitwise_xor_(int64_t{key_1});
    counter[3] = first.bitwise_and(kLow);
    key_0 += 0x9E3779B9;
    key_1 += 0xBB67AE85;
  }
  return at::stack(counter, 1);
}

at::Tensor dropout_factors(at::IntArrayRef sizes, double rate, uint64_t place,
                           const ForwardMode& mode, const at::Device& device) {
  if (!mode.training || !mode.dropout || rate == 0) return {};
  const PhiloxKey key = stream_key(mode.dropout_seed, StreamPurpose::dropout);
  const auto dropped = static_cast<uint32_t>(std::ceil(rate * 0x1p24));  // of 2^24 numbers
  const auto keep = static_cast<float>(1 / (1 - rate));
  if (!device.is_cpu()) {
    const int64_t count = c10::multiply_integers(sizes);
    const at::Tensor words = philox_blocks(key, place, (count + 3) / 4, device).flatten();
    const at::Tensor kept = words.narrow(0, 0, count).__rshift__(8).ge(int64_t{dropped});
    return kept.view(sizes).to(at::kFloat).mul_(keep);
  }
  at::Tensor factors = at::empty(sizes);
  draw(key, place, dropped, keep, factors);
  return factors;
}

at::Tensor dropout(const at::Tensor& x, double rate, uint64_t unit, const ForwardMode& mode) {
  const at::Tensor factors = dropout_factors({x.size(0), x.size(1)}, rate, unit, mode, x.device());
  if (!factors.defined()) return x;
  const at::Tensor mask = factors.to(x.scalar_type());
  return x.mul(x.dim() == 2 ? mask : mask.view({x.size(0), x.size(1), 1, 1}));
}

at::Tensor element_dropout(const at::Tensor& x, double rate, uint64_t unit,
                           const ForwardMode& mode) {
  const at::Tensor factors =
      dropout_factors({x.size(0), x.size(2), x.size(3), x.size(1)}, rate, unit, mode, x.device());
  return factors.defined() ? x.mul(factors.permute({0, 3, 1, 2}).to(x.scalar_type())) : x;
}

}  // namespace bitstill
