// The quantizer of one tensor; quantizer.cpp cuts the flat buffers into pieces for them.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "bitstill/quant/quantizer.hpp"

namespace bitstill {

/// A run of whole buckets of one tensor (lsq: any run).
struct Piece {
  const float* masters = nullptr;  // of the tensor's value `begin`
  int64_t begin = 0, count = 0;
  int64_t step = 0;
  float mean = 0;  // of the whole tensor, where it is subtracted
};

/// A pass over all of a tensor on a device; what is a pointer points to its memory.
struct DevicePass {
  const float* masters = nullptr;
  const float* learned = nullptr;  // a copy of learned_in_use()
  int64_t step = 0;
  uint64_t* bad = nullptr;  // CudaOutputs::bad
  c10::Device device;
  void* stream = nullptr;  // LibTorch's current one
};

class TensorQuantizer {
 public:
  TensorQuantizer(const QuantOptions& options, const Segment& segment)
      : options_(options), segment_(segment), bucket_(bucket_of(options, segment.shape)) {}
  virtual ~TensorQuantizer() = default;
  TensorQuantizer(const TensorQuantizer&) = delete;
  TensorQuantizer& operator=(const TensorQuantizer&) = delete;

  const Segment& segment() const { return segment_; }
  int64_t bucket() const { return bucket_; }

  // All of these throw Error(numbers) naming the tensor and the bucket that is not finite.

  virtual void quantize(const Piece& piece, bool stream, float* shadows) const = 0;
  /// codes: one a value of the piece; alpha, beta: one each a bucket of it.
  virtual void encode(const Piece& piece, uint8_t* codes, float* alpha, float* beta) const = 0;
  virtual std::vector<float> points() const = 0;
  /// As Quantizer::backward, for this tensor; `masters` is all of it.
  virtual void backward(const Piece& masters, float* gradients, float* learned) const = 0;

  virtual int64_t learned_count() const { return 0; }
  /// Where the learned values lie from now on.
  virtual void bind(float*) {}
  virtual void start(const Piece&) {}
  /// from[i]: which of the tensor's learned values is now the i-th; filled with 0, 1, ... before.
  virtual void settle(int64_t*) {}
  virtual void use_uniform_points(bool) {}

  // On a device, by the kernels of cuda_kernel.hpp and with equal bits; only enqueued.

  /// Called after start(): copies what passes need besides the learned values.
  virtual void move_to(const c10::Device&) {}
  /// learned_count() values that assign and decode now; null where there are none.
  virtual const float* learned_in_use() const { return nullptr; }
  virtual void quantize(const DevicePass& pass, float* shadows) const = 0;
  /// `learned` holds what finish_learned() makes a gradient of, on the host.
  virtual void backward(const DevicePass& pass, float* gradients, float* learned) const = 0;
  virtual void finish_learned(float*) const {}

  /// Names the tensor and the bucket; `bucket` counts from the piece's begin.
  [[noreturn]] void refuse(const Piece& piece, int64_t bucket) const;

  /// The values of the tensor that work may be cut at multiples of.
  virtual int64_t grain() const { return bucket_; }

 protected:
  int64_t buckets(int64_t count) const { return (count + bucket_ - 1) / bucket_; }

  const QuantOptions options_;
  const Segment segment_;
  const int64_t bucket_;
};

/// key: of stochastic rounding's stream.
std::unique_ptr<TensorQuantizer> make_uniform_tensor(const QuantOptions& options,
                                                     const Segment& segment,
                                                     std::array<uint32_t, 2> key);
std::unique_ptr<TensorQuantizer> make_points_tensor(const QuantOptions& options,
                                                    const Segment& segment);
std::unique_ptr<TensorQuantizer> make_kmeans_tensor(const QuantOptions& options,
                                                    const Segment& segment);
std::unique_ptr<TensorQuantizer> make_lsq_tensor(const QuantOptions& options,
                                                 const Segment& segment);

}  // namespace bitstill
