// A quantizer over flat buffers: one quantizer a tensor, and the pieces that threads work on.
#include "bitstill/quant/quantizer.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/uniform_kernel.hpp"
#include "flat_quantizer.hpp"
#include "share_out.hpp"

namespace bitstill {
namespace {

constexpr int64_t kPieceValues = 1 << 16;  // work is dealt out in pieces of about this size
constexpr int64_t kStreamValues = int64_t{1} << 23;  // 32 MB: the shadows would not stay in a cache

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

FlatQuantizer::FlatQuantizer(const QuantOptions& options, std::vector<Segment> segments,
                             uint64_t seed)
    : options_(options) {
  std::stable_sort(segments.begin(), segments.end(),
                   [](const Segment& a, const Segment& b) { return a.offset < b.offset; });
  int64_t end = 0;
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const Segment& segment = segments[s];
    if (segment.offset < end) {
      throw Error(ExitCode::settings, concat(segment.name, " overlaps ", segments[s - 1].name,
                                             " in the flat parameter buffer"));
    }
    if (s > 0) cut(FlatRange::Kind::zero, end, segment.offset, kPieceValues);
    end = segment.offset + segment.count;
    if (!segment.quantized()) {
      cut(FlatRange::Kind::copy, segment.offset, end, kPieceValues);
      continue;
    }
    tensors_.push_back(make_tensor(segment, seed));
    const int64_t grain = tensors_.back()->grain();
    cut(FlatRange::Kind::quantize, segment.offset, end, divide_up(kPieceValues, grain) * grain);
    const int64_t count = tensors_.back()->learned_count();
    if (count == 0) continue;
    runs_.push_back({segment.name, static_cast<int64_t>(learned_.size()), count, segment.count});
    learned_.resize(learned_.size() + static_cast<std::size_t>(count));
  }
  for (std::size_t t = 0; t < runs_.size(); ++t) {
    tensors_[t]->bind(learned_.data() + runs_[t].offset);
  }
}

std::unique_ptr<TensorQuantizer> FlatQuantizer::make_tensor(const Segment& segment,
                                                            uint64_t seed) const {
  if (options_.method == QuantMethod::uniform) {
    return make_uniform_tensor(options_, segment, stream_key(seed, StreamPurpose::rounding));
  }
  if (options_.method == QuantMethod::lsq) return make_lsq_tensor(options_, segment);
  if (options_.method == QuantMethod::kmeans) return make_kmeans_tensor(options_, segment);
  return make_points_tensor(options_, segment);
}

void FlatQuantizer::cut(FlatRange::Kind kind, int64_t begin, int64_t end, int64_t size) {
  const std::size_t tensor = tensors_.empty() ? 0 : tensors_.size() - 1;
  for (; begin < end; begin += size) {
    ranges_.push_back({kind, tensor, begin, std::min(size, end - begin)});
    values_ += ranges_.back().count;
  }
}

/// All of a tensor as one piece.
Piece FlatQuantizer::whole(const TensorQuantizer& tensor, const float* masters,
                           int64_t step) const {
  const Segment& segment = tensor.segment();
  Piece piece{masters + segment.offset, 0, segment.count, step, 0};
  if (options_.subtract_mean) {
    const double sum =
        std::accumulate(piece.masters, piece.masters + piece.count, 0.0);  // in order
    piece.mean = static_cast<float>(sum / static_cast<double>(piece.count));
  }
  return piece;
}

void FlatQuantizer::quantize(const float* masters, float* shadows, int64_t step) const {
  std::vector<float> means;
  for (const auto& tensor : tensors_) means.push_back(whole(*tensor, masters, step).mean);
  share_out(static_cast<int64_t>(ranges_.size()), values_, [&](int64_t index) {
    const FlatRange& range = ranges_[static_cast<std::size_t>(index)];
    const auto bytes = static_cast<std::size_t>(range.count) * sizeof(float);
    if (range.kind == FlatRange::Kind::zero) {
      std::memset(shadows + range.begin, 0, bytes);
    } else if (range.kind == FlatRange::Kind::copy) {
      std::memcpy(shadows + range.begin, masters + range.begin, bytes);
    } else {
      const TensorQuantizer& tensor = *tensors_[range.tensor];
      const Piece piece{masters + range.begin, range.begin - tensor.segment().offset, range.count,
                        step, means[range.tensor]};
      tensor.quantize(piece, values_ >= kStreamValues, shadows + range.begin);
    }
  });
}

QuantizedTensor FlatQuantizer::encode(const Segment& segment, const float* masters,
                                      int64_t step) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& tensor) {
    return tensor->segment().name == segment.name;
  });
  if (found == tensors_.end()) {
    throw Error(ExitCode::environment, concat(segment.name, " is no tensor of this quantizer"));
  }
  const TensorQuantizer& quantizer = **found;
  QuantizedTensor tensor;
  tensor.shape = segment.shape;
  tensor.count = segment.count;
  tensor.bucket = quantizer.bucket();
  tensor.points = quantizer.points();
  const auto buckets = static_cast<std::size_t>(divide_up(segment.count, tensor.bucket));
  tensor.alpha.resize(buckets);
  tensor.beta.resize(buckets);
  tensor.codes.resize(static_cast<std::size_t>(segment.count));
  quantizer.encode(whole(quantizer, masters, step), tensor.codes.data(), tensor.alpha.data(),
                   tensor.beta.data());
  return tensor;
}

void FlatQuantizer::backward(const float* masters, int64_t step, float* gradients,
                             float* learned_gradients) const {
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const TensorQuantizer& tensor = *tensors_[t];
    tensor.backward(whole(tensor, masters, step), gradients + tensor.segment().offset,
                    learned_of(t, learned_gradients));
  }
}

void FlatQuantizer::start(const float* masters) {
  for (auto& tensor : tensors_) tensor->start(whole(*tensor, masters, 0));
}

void FlatQuantizer::use_uniform_points(bool on) {
  for (auto& tensor : tensors_) tensor->use_uniform_points(on);
}

std::vector<int64_t> FlatQuantizer::settle() {
  std::vector<int64_t> from(learned_.size());
  for (std::size_t t = 0; t < runs_.size(); ++t) {
    int64_t* const own = from.data() + runs_[t].offset;
    std::iota(own, own + runs_[t].count, int64_t{0});
    tensors_[t]->settle(own);
    for (int64_t i = 0; i < runs_[t].count; ++i) own[i] += runs_[t].offset;
  }
  return from;
}

void decode(const QuantizedTensor& tensor, float* out) {
  const auto count = static_cast<std::size_t>(tensor.count);
  const std::size_t buckets =
      tensor.bucket > 0 ? static_cast<std::size_t>(divide_up(tensor.count, tensor.bucket)) : 0;
  if (tensor.count < 0 || tensor.bucket < 1 || tensor.codes.size() != count ||
      tensor.alpha.size() != buckets || tensor.beta.size() != buckets) {
    throw Error(ExitCode::model, "a quantized tensor's codes and scales do not fit its size");
  }
  const auto largest = std::max_element(tensor.codes.begin(), tensor.codes.end());
  if (largest != tensor.codes.end() && *largest >= tensor.points.size()) {
    throw Error(ExitCode::model, concat("a quantized tensor has code ", int{*largest}, " but only ",
                                        tensor.points.size(), " points"));
  }
  decode_run({tensor.codes.data(), tensor.count, tensor.bucket, tensor.points.data(),
              tensor.alpha.data(), tensor.beta.data()},
             out);
}

std::unique_ptr<Quantizer> make_quantizer(const QuantOptions& options,
                                          const std::vector<Segment>& segments, uint64_t seed,
                                          const c10::Device& device) {
  check(options);
  if (options.method == QuantMethod::none) return nullptr;
  if (!device.is_cpu()) return make_device_quantizer(options, segments, seed, device);
  return std::make_unique<FlatQuantizer>(options, segments, seed);
}

int64_t formula_bits(const QuantOptions& options, const std::vector<Segment>& segments,
                     int64_t running_statistics) {
  int64_t bits = 32 * running_statistics;
  for (const Segment& segment : segments) {
    bits += segment.quantized() ? formula_bits(options, segment.shape, segment.points)
                                : 32 * segment.count;
  }
  return bits;
}

}  // namespace bitstill
