// The quantizer over flat buffers on a device: each tensor by its kernels, or, where these lack a
// setting, all through host memory.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <optional>

#include "bitstill/base/error.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "flat_quantizer.hpp"
#include "scaled_tensor.hpp"

namespace bitstill {
namespace {

void* current_stream(const c10::Device& device) {
  if (!device.is_cuda()) return nullptr;
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

/// `count` values at `data` on the device, as a tensor that does not own them.
template <class T>
at::Tensor view_of(T* data, int64_t count, at::ScalarType type, const c10::Device& device) {
  // from_blob takes no pointer to const; views of masters are only read.
  auto* const values = const_cast<std::remove_const_t<T>*>(data);
  return at::from_blob(values, {count}, at::TensorOptions().dtype(type).device(device));
}

class DeviceQuantizer final : public FlatQuantizer {
 public:
  DeviceQuantizer(const QuantOptions& options, const std::vector<Segment>& segments, uint64_t seed,
                  const c10::Device& device);

  void quantize(const float* masters, float* shadows, int64_t step) const override;
  void require_good() const override;
  void backward(const float* masters, int64_t step, float* gradients,
                float* learned_gradients) const override;
  void start(const float* masters) override;

 private:
  at::Tensor upload_learned() const;
  DevicePass pass_of(std::size_t tensor, const float* masters, const at::Tensor& learned,
                     int64_t step) const;

  c10::Device device_;
  at::Tensor copies_;  // bytes of the CopyRanges, on the device
  /// On the host, once `arrived_`: each tensor's first bad bucket of the last quantize(), or -1.
  mutable at::Tensor bad_;
  mutable std::optional<c10::Event> arrived_;
};

DeviceQuantizer::DeviceQuantizer(const QuantOptions& options, const std::vector<Segment>& segments,
                                 uint64_t seed, const c10::Device& device)
    : FlatQuantizer(options, segments, seed), device_(device) {
  std::vector<CopyRange> copies;
  for (const FlatRange& range : ranges()) {
    if (range.kind == FlatRange::Kind::quantize) continue;
    copies.push_back({range.begin, range.count, range.kind == FlatRange::Kind::copy});
  }
  copies_ = view_of(reinterpret_cast<const uint8_t*>(copies.data()),
                    static_cast<int64_t>(copies.size() * sizeof(CopyRange)), at::kByte, c10::kCPU)
                .to(device, at::kByte, /*non_blocking=*/false, /*copy=*/true);
}

/// The learned values in use: some bytes, which the optimizer of the host changes in every step.
at::Tensor DeviceQuantizer::upload_learned() const {
  std::vector<float> values;
  for (std::size_t t = 0; t < learned_runs().size(); ++t) {
    const float* const own = tensors()[t]->learned_in_use();
    values.insert(values.end(), own, own + learned_runs()[t].count);
  }
  return view_of(values.data(), static_cast<int64_t>(values.size()), at::kFloat, c10::kCPU)
      .to(device_, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

DevicePass DeviceQuantizer::pass_of(std::size_t tensor, const float* masters,
                                    const at::Tensor& learned, int64_t step) const {
  return {masters + tensors()[tensor]->segment().offset,
          learned_of(tensor, learned.const_data_ptr<float>()),
          step,
          nullptr,
          device_,
          current_stream(device_)};
}

void DeviceQuantizer::quantize(const float* masters, float* shadows, int64_t step) const {
  const c10::DeviceGuard guard(device_);
  const at::Tensor learned = upload_learned();
  const at::Tensor bad = at::full({static_cast<int64_t>(tensors().size())}, -1,
                                  at::TensorOptions().dtype(at::kLong).device(device_));
  for (std::size_t t = 0; t < tensors().size(); ++t) {
    DevicePass pass = pass_of(t, masters, learned, step);
    pass.bad = reinterpret_cast<uint64_t*>(bad.mutable_data_ptr<int64_t>()) + t;
    tensors()[t]->quantize(pass, shadows + tensors()[t]->segment().offset);
  }
  cuda_copy(reinterpret_cast<const CopyRange*>(copies_.const_data_ptr<uint8_t>()),
            copies_.numel() / static_cast<int64_t>(sizeof(CopyRange)), masters, shadows,
            current_stream(device_));
  if (!bad_.defined()) {
    const auto host = at::TensorOptions().dtype(at::kLong).pinned_memory(device_.is_cuda());
    bad_ = at::empty(bad.sizes(), host);
    if (device_.is_cuda()) arrived_.emplace(device_.type());
  }
  bad_.copy_(bad, /*non_blocking=*/true);
  if (!arrived_) return require_good();
  arrived_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void DeviceQuantizer::require_good() const {
  if (!bad_.defined()) return;
  if (arrived_) arrived_->synchronize();
  for (std::size_t t = 0; t < tensors().size(); ++t) {
    const int64_t bucket = bad_.const_data_ptr<int64_t>()[t];
    if (bucket >= 0) tensors()[t]->refuse({}, bucket);
  }
}

void DeviceQuantizer::backward(const float* masters, int64_t step, float* gradients,
                               float* learned_gradients) const {
  const c10::DeviceGuard guard(device_);
  const at::Tensor learned = upload_learned(), sums = at::empty_like(learned);
  float* const found = learned_gradients != nullptr ? sums.mutable_data_ptr<float>() : nullptr;
  for (std::size_t t = 0; t < tensors().size(); ++t) {
    tensors()[t]->backward(pass_of(t, masters, learned, step),
                           gradients + tensors()[t]->segment().offset, learned_of(t, found));
  }
  if (learned_gradients == nullptr || learned_runs().empty()) return;
  view_of(learned_gradients, sums.numel(), at::kFloat, c10::kCPU).copy_(sums);
  for (std::size_t t = 0; t < tensors().size(); ++t) {
    tensors()[t]->finish_learned(learned_of(t, learned_gradients));
  }
}

void DeviceQuantizer::start(const float* masters) {
  FlatQuantizer::start(masters);
  for (const auto& tensor : tensors()) tensor->move_to(device_);
}

/// Copies the flat buffers to the host and back.
class DetourQuantizer final : public FlatQuantizer {
 public:
  DetourQuantizer(const QuantOptions& options, const std::vector<Segment>& segments, uint64_t seed,
                  const c10::Device& device)
      : FlatQuantizer(options, segments, seed), device_(device) {}

  void quantize(const float* masters, float* shadows, int64_t step) const override {
    const at::Tensor from = on_device(masters).cpu(), to = at::zeros_like(from);
    FlatQuantizer::quantize(from.const_data_ptr<float>(), to.mutable_data_ptr<float>(), step);
    on_device(shadows).copy_(to);
  }
  void backward(const float* masters, int64_t step, float* gradients,
                float* learned_gradients) const override {
    if (options().method == QuantMethod::uniform &&
        options().gradient == QuantGradient::straight_through)
      return;
    const at::Tensor from = on_device(masters).cpu(), changed = on_device(gradients).cpu();
    FlatQuantizer::backward(from.const_data_ptr<float>(), step, changed.mutable_data_ptr<float>(),
                            learned_gradients);
    on_device(gradients).copy_(changed);
  }

 private:
  template <class T>
  at::Tensor on_device(T* data) const {
    const int64_t end = ranges().empty() ? 0 : ranges().back().begin + ranges().back().count;
    return view_of(data, end, at::kFloat, device_);
  }
  c10::Device device_;
};

}  // namespace

std::string unsupported_option(const QuantOptions& options) {
  if (options.method == QuantMethod::lsq) return "";
  if (options.gradient == QuantGradient::range) return "quant.gradient = range";
  return ScaledTensor::beyond_plain(options);
}

std::unique_ptr<Quantizer> make_device_quantizer(const QuantOptions& options,
                                                 const std::vector<Segment>& segments,
                                                 uint64_t seed, const c10::Device& device) {
  const std::string lacking = unsupported_option(options);
  if (lacking.empty()) {
    return std::make_unique<DeviceQuantizer>(options, segments, seed, device);
  }
  say(concat(lacking, " has no GPU kernel: weights are quantized on the host in every step"));
  return std::make_unique<DetourQuantizer>(options, segments, seed, device);
}

}  // namespace bitstill
