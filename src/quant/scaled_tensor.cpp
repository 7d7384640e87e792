#include "scaled_tensor.hpp"

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "scales.hpp"

namespace bitstill {

void TensorQuantizer::refuse(const Piece& piece, int64_t bucket) const {
  const int64_t begin = piece.begin + bucket * bucket_;
  throw Error(ExitCode::numbers,
              concat("weights of ", segment_.name, ", bucket ", begin / bucket_, " (values ", begin,
                     " to ", std::min(begin + bucket_, segment_.count) - 1,
                     "), are not finite or their range overflows; lower train.rate"));
}

ScaledTensor::ScaledTensor(const QuantOptions& options, const Segment& segment)
    : TensorQuantizer(options, segment), clip_(static_cast<float>(options.clip)) {
  // Truncated: the forward pass uses clamp(w, -1, 1), so it is a clipping, too.
  if (options.gradient == QuantGradient::truncated)
    clip_ = clip_ > 0 ? std::min(clip_, 1.0f) : 1.0f;
  plain_ = beyond_plain(options).empty();
}

std::string ScaledTensor::beyond_plain(const QuantOptions& options) {
  if (options.scaling != Scaling::linear) return concat("quant.scaling = ", options.scaling);
  if (options.range != BucketRange::minmax) return concat("quant.range = ", options.range);
  if (options.scales != ScaleType::fp32) return concat("quant.scales = ", options.scales);
  if (options.clip > 0) return concat("quant.clip = ", options.clip);
  if (options.gradient == QuantGradient::truncated) return "quant.gradient = truncated";
  return options.subtract_mean ? "quant.subtract_mean = true" : "";
}

void ScaledTensor::quantize(const Piece& piece, bool stream, float* shadows) const {
  if (plain_) {
    if (const int64_t bad = run_fused(piece, stream, shadows); bad >= 0) refuse(piece, bad);
    return;
  }
  const Coded coded = encode(piece);
  const std::vector<float> table = points();
  decode_run({coded.codes.data(), piece.count, bucket_, table.data(), coded.alpha.data(),
              coded.beta.data()},
             shadows);
}

ScaledTensor::Coded ScaledTensor::encode(const Piece& piece) const {
  Coded coded;
  coded.codes.resize(static_cast<std::size_t>(piece.count));
  coded.alpha.resize(static_cast<std::size_t>(buckets(piece.count)));
  coded.beta.resize(coded.alpha.size());
  encode(piece, coded.codes.data(), coded.alpha.data(), coded.beta.data());
  return coded;
}

void ScaledTensor::encode(const Piece& piece, uint8_t* codes, float* alpha, float* beta) const {
  if (plain_) {
    const int64_t bad = run_codes(piece, piece.masters, false, codes, alpha, beta);
    if (bad >= 0) refuse(piece, bad);
    return;
  }
  std::vector<float> values(piece.masters, piece.masters + piece.count);
  for (float& value : values) {
    value -= piece.mean;
    if (clip_ > 0 && value == value) value = std::clamp(value, -clip_, clip_);
  }
  for (int64_t b = 0, begin = 0; begin < piece.count; ++b, begin += bucket_) {
    const BucketScale scale = scale_of_bucket(options_, segment_.points, values.data() + begin,
                                              std::min(bucket_, piece.count - begin));
    alpha[b] = scale.alpha;
    beta[b] = scale.beta;
  }
  const int64_t bad = run_codes(piece, values.data(), true, codes, alpha, beta);
  if (bad >= 0) refuse(piece, bad);
  for (int64_t b = 0; b < buckets(piece.count); ++b) beta[b] += piece.mean;
}

}  // namespace bitstill
