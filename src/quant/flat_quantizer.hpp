// The quantizer over flat buffers in the host's memory; device_quantizer.cpp builds on it.
#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <vector>

#include "tensor_quantizer.hpp"

namespace bitstill {

/// A range of the flat buffers: a part of a quantized tensor (its index), or without a quantizer:
/// copied, or padding.
struct FlatRange {
  enum class Kind { quantize, copy, zero } kind;
  std::size_t tensor;
  int64_t begin, count;  // flat indices
};

class FlatQuantizer : public Quantizer {
 public:
  FlatQuantizer(const QuantOptions& options, std::vector<Segment> segments, uint64_t seed);

  void quantize(const float* masters, float* shadows, int64_t step) const override;
  QuantizedTensor encode(const Segment& segment, const float* masters, int64_t step) const final;
  void backward(const float* masters, int64_t step, float* gradients,
                float* learned_gradients) const override;
  Json describe() const final { return to_json(options_); }

  const std::vector<LearnedRun>& learned_runs() const final { return runs_; }
  std::vector<float>& learned() final { return learned_; }
  void start(const float* masters) override;
  std::vector<int64_t> settle() final;
  void use_uniform_points(bool on) final;

 protected:
  const QuantOptions& options() const { return options_; }
  /// By offset; where anything is learned, tensor t's values are run t of learned_runs().
  const std::vector<std::unique_ptr<TensorQuantizer>>& tensors() const { return tensors_; }
  /// By begin; together the buffer up to the last segment's end.
  const std::vector<FlatRange>& ranges() const { return ranges_; }
  /// Where a tensor's learned values begin in `values`; null: none, or `values` is null.
  template <class T>
  T* learned_of(std::size_t tensor, T* values) const {
    return values == nullptr || runs_.empty() ? nullptr : values + runs_[tensor].offset;
  }

 private:
  std::unique_ptr<TensorQuantizer> make_tensor(const Segment& segment, uint64_t seed) const;
  void cut(FlatRange::Kind kind, int64_t begin, int64_t end, int64_t size);
  Piece whole(const TensorQuantizer& tensor, const float* masters, int64_t step) const;

  QuantOptions options_;
  std::vector<std::unique_ptr<TensorQuantizer>> tensors_;
  std::vector<FlatRange> ranges_;
  int64_t values_ = 0;  // in all ranges
  std::vector<LearnedRun> runs_;
  std::vector<float> learned_;
};

/// For flat buffers on `device`: by the kernels of cuda_kernel.hpp, or, where unsupported_option()
/// names a setting that they lack, through host memory, after a line that says so.
std::unique_ptr<Quantizer> make_device_quantizer(const QuantOptions& options,
                                                 const std::vector<Segment>& segments,
                                                 uint64_t seed, const c10::Device& device);

/// "quant.scaling = absmax" and the like: the first setting that the CUDA kernels lack; empty where
/// they have all.
std::string unsupported_option(const QuantOptions& options);

}  // namespace bitstill
