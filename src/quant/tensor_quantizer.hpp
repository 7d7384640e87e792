// The quantizer of one tensor; flat_quantizer.cpp cuts the flat buffers into pieces for them.
#pragma once

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

  /// The values of the tensor that work may be cut at multiples of.
  virtual int64_t grain() const { return bucket_; }

 protected:
  [[noreturn]] void refuse(const Piece& piece, int64_t bucket) const;
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
