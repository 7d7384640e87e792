// Quantizers over flat buffers: full-precision masters -> quantized shadows, in one fused pass, and
// the way back: gradients of shadows -> gradients of masters and of what is learned.
//
// Sources: Polino, Pascanu, Alistarh, ICLR 2018, sections 2 to 4 (uniform, points); joint: the same
// points trained together with the weights; lsq: Esser et al., ICLR 2020; kmeans: Han et al., ICLR
// 2016. The decode formula everywhere is
//   w = fl32(fl32(p_j * alpha) + beta), without a fused multiply-add.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bitstill/quant/options.hpp"

namespace bitstill {

/// One parameter's place in the flat buffers.
struct Segment {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // elements; a multiple of 16 (64 bytes)
  int64_t count = 0;   // elements
  int64_t points = 0;  // 2..256; 0: not quantized, so copied, and stored as fp32
  bool quantized() const { return points > 0; }
};

/// What a stored quantized tensor is made of.
struct QuantizedTensor {
  std::vector<int64_t> shape;
  int64_t count = 0, bucket = 0;   // bucket: the real one (never 0)
  std::vector<float> points;       // p_0 .. p_{s-1}
  std::vector<float> alpha, beta;  // one each a bucket
  std::vector<uint8_t> codes;      // one byte a value, 0..s-1
};

/// With b = i / bucket, w[i] = fl32(fl32(points[codes[i]] * alpha[b]) + beta[b]); out: `count`
/// floats. Throws Error(model) when the parts do not fit each other, so files from strangers may
/// come here.
void decode(const QuantizedTensor& tensor, float* out);

/// What one tensor learns: points (ascending, unless method kmeans) or steps (lsq).
struct LearnedRun {
  std::string name;     // of the tensor
  int64_t offset = 0;   // in learned()
  int64_t count = 0;    // points, or steps
  int64_t weights = 0;  // of the tensor
};

/// Maps masters to shadows. Const calls are thread-safe on the CPU. Flat buffers of quantize() and
/// backward() lie on the quantizer's device, in LibTorch's current stream's order; all else is the
/// host's.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  /// shadows[i] = Q(masters[i]) in quantized segments, masters[i] in the others; both flat buffers.
  /// Padding between segments becomes zero. `step` names the random stream of stochastic rounding;
  /// the result does not depend on the number of threads (LibTorch's). Throws Error(numbers) naming
  /// the tensor and the bucket when its range overflows or is not finite; on a GPU, which it does
  /// not wait for, require_good() does.
  virtual void quantize(const float* masters, float* shadows, int64_t step) const = 0;
  /// Waits for what the last quantize() found on a GPU, not for what was enqueued behind it.
  virtual void require_good() const {}
  /// Codes, points and scales of one segment of the flat buffer `masters`; decode() of them equals
  /// quantize()'s shadows bit for bit for the same step.
  virtual QuantizedTensor encode(const Segment& segment, const float* masters,
                                 int64_t step) const = 0;
  /// gradients: of the shadows in, of the masters out (quant.gradient; zeros where kmeans fixes the
  /// codes). learned_gradients: learned().size() values, of what is learned; null: not wanted. Both
  /// are linear in the gradients for equal masters, and equal for any number of threads.
  virtual void backward(const float* masters, int64_t step, float* gradients,
                        float* learned_gradients) const = 0;
  /// Settings that a model file carries.
  virtual Json describe() const = 0;

  /// All tensors' learned values, one run each; none where nothing is learned.
  virtual const std::vector<LearnedRun>& learned_runs() const = 0;
  virtual std::vector<float>& learned() = 0;
  /// Sets the learned values to their start (quant.start; lsq: 2 mean|w| / sqrt(Qp)), and kmeans's
  /// codes, from these masters. Error(numbers) as quantize().
  virtual void start(const float* masters) = 0;
  /// After an update of learned(): points into ascending order, steps kept positive. Returns where
  /// each value came from: learned()[i] was learned()[result[i]].
  virtual std::vector<int64_t> settle() = 0;
  /// While on, tensors of learned points use uniform ones instead (quant.alternate = reference).
  virtual void use_uniform_points(bool on) = 0;
};

/// Null for method none. The segments are copied. device: of the flat buffers. On a GPU it runs the
/// kernels of cuda_kernel.hpp, with equal bits; settings that these lack go through host memory in
/// every pass, which one line says. Error(environment) for a GPU in a build without the kernels.
std::unique_ptr<Quantizer> make_quantizer(const QuantOptions& options,
                                          const std::vector<Segment>& segments, uint64_t seed,
                                          const c10::Device& device = c10::kCPU);

/// The paper's true count in bits: sum over quantized tensors of b n + 64 ceil(n / k) + 32 s where
/// points are stored (one scale of 32 bits a bucket for absmax, absnorm and lsq), plus 32 for every
/// unquantized value and running statistic.
int64_t formula_bits(const QuantOptions& options, const std::vector<Segment>& segments,
                     int64_t running_statistics);

}  // namespace bitstill
