// Quantizers over flat buffers: settings, sizes, and the uniform quantizer on top of its kernels.
#include "bitstill/quant/quantizer.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <thread>

#include "bitstill/base/error.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/uniform_kernel.hpp"

namespace bitstill {
namespace {

constexpr int64_t kPieceValues = 1 << 16;      // work is dealt out in pieces of about this size
constexpr int64_t kValuesPerThread = 1 << 20;  // starting a thread costs as much as 1 % of this
constexpr int64_t kStreamValues = int64_t{1} << 23;  // 32 MB: the shadows would not stay in a cache

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t real_bucket(const QuantOptions& options, int64_t count) {
  return options.bucket > 0 ? options.bucket : std::max<int64_t>(count, 1);
}

void check_word(const std::string& key, const std::string& value,
                const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  throw Error(ExitCode::settings,
              concat(key, " is '", value, "' but must be one of: ", list_names(allowed)));
}

[[noreturn]] void refuse(const Segment& segment, int64_t bucket, int64_t begin) {
  throw Error(ExitCode::numbers,
              concat("weights of ", segment.name, ", bucket ", begin / bucket, " (values ", begin,
                     " to ", std::min(begin + bucket, segment.count) - 1,
                     "), are not finite or their range overflows; lower train.rate"));
}

/// A range of the flat buffers: whole buckets of a segment, a part of an unquantized one, or
/// padding.
struct Piece {
  enum class Kind { quantize, copy, zero } kind;
  std::size_t segment;
  int64_t begin, count;  // flat indices
};

class UniformQuantizer final : public Quantizer {
 public:
  UniformQuantizer(const QuantOptions& options, std::vector<Segment> segments, uint64_t seed)
      : options_(options),
        segments_(std::move(segments)),
        key_(stream_key(seed, StreamPurpose::rounding)) {
    std::stable_sort(segments_.begin(), segments_.end(),
                     [](const Segment& a, const Segment& b) { return a.offset < b.offset; });
    int64_t end = 0;
    for (std::size_t s = 0; s < segments_.size(); ++s) {
      const Segment& segment = segments_[s];
      if (segment.offset < end) {
        throw Error(ExitCode::settings, concat(segment.name, " overlaps ", segments_[s - 1].name,
                                               " in the flat parameter buffer"));
      }
      if (s > 0) cut(Piece::Kind::zero, s, end, segment.offset, kPieceValues);
      end = segment.offset + segment.count;
      const int64_t bucket = real_bucket(options_, segment.count);
      const int64_t size = divide_up(kPieceValues, bucket) * bucket;  // whole buckets
      cut(segment.quantized ? Piece::Kind::quantize : Piece::Kind::copy, s, segment.offset, end,
          size);
    }
  }

  void quantize(const float* masters, float* shadows, int64_t step) const override;
  QuantizedTensor encode(const Segment& segment, const float* masters, int64_t step) const override;

  Json describe() const override {
    return {{"method", options_.method},
            {"scaling", "linear"},
            {"bits", options_.bits},
            {"bucket", options_.bucket},
            {"rounding", options_.rounding},
            {"tensors", options_.tensors},
            {"first_layer", options_.first_layer},
            {"last_layer", options_.last_layer}};
  }

 private:
  void cut(Piece::Kind kind, std::size_t segment, int64_t begin, int64_t end, int64_t size) {
    for (; begin < end; begin += size) {
      pieces_.push_back({kind, segment, begin, std::min(size, end - begin)});
      values_ += pieces_.back().count;
    }
  }

  UniformRun run_of(const Segment& segment, const float* masters, int64_t step) const {
    UniformRun run;
    run.masters = masters + segment.offset;
    run.count = segment.count;
    run.bucket = real_bucket(options_, segment.count);
    run.points = 1 << options_.bits;
    run.stochastic = options_.rounding == "stochastic";
    run.key = key_;
    run.step = static_cast<uint64_t>(step);
    run.first = static_cast<uint64_t>(segment.offset);
    return run;
  }

  void quantize_piece(const Piece& piece, const float* masters, float* shadows, int64_t step) const;

  QuantOptions options_;
  std::vector<Segment> segments_;  // by offset
  std::vector<Piece> pieces_;      // by begin; together the buffer up to the last segment's end
  int64_t values_ = 0;             // in all pieces
  std::array<uint32_t, 2> key_;
};

void UniformQuantizer::quantize_piece(const Piece& piece, const float* masters, float* shadows,
                                      int64_t step) const {
  const auto bytes = static_cast<std::size_t>(piece.count) * sizeof(float);
  if (piece.kind == Piece::Kind::zero) {
    std::memset(shadows + piece.begin, 0, bytes);
  } else if (piece.kind == Piece::Kind::copy) {
    std::memcpy(shadows + piece.begin, masters + piece.begin, bytes);
  } else {
    const Segment& segment = segments_[piece.segment];
    UniformRun run = run_of(segment, masters, step);
    run.masters = masters + piece.begin;
    run.count = piece.count;
    run.first = static_cast<uint64_t>(piece.begin);
    const int64_t bad = quantize_uniform(run, values_ >= kStreamValues, shadows + piece.begin);
    if (bad >= 0) refuse(segment, run.bucket, piece.begin - segment.offset + bad * run.bucket);
  }
}

void UniformQuantizer::quantize(const float* masters, float* shadows, int64_t step) const {
  const int64_t parts = std::clamp<int64_t>(values_ / kValuesPerThread, 1, at::get_num_threads());
  const auto bound = [&](int64_t part) {  // the first piece of a part
    return std::partition_point(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
      return piece.begin - pieces_.front().begin < values_ * part / parts;
    });
  };
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(parts));
  const auto work = [&](int64_t part) {
    try {
      for (auto piece = bound(part); piece != bound(part + 1); ++piece) {
        quantize_piece(*piece, masters, shadows, step);
      }
    } catch (...) {
      errors[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int64_t part = 1; part < parts; ++part) threads.emplace_back(work, part);
    work(0);
  }
  for (const auto& error : errors) {  // the first bad bucket's, whatever the number of threads
    if (error) std::rethrow_exception(error);
  }
}

QuantizedTensor UniformQuantizer::encode(const Segment& segment, const float* masters,
                                         int64_t step) const {
  const UniformRun run = run_of(segment, masters, step);
  QuantizedTensor tensor;
  tensor.shape = segment.shape;
  tensor.count = segment.count;
  tensor.bucket = run.bucket;
  const int last = run.points - 1;
  for (int j = 0; j <= last; ++j) {
    tensor.points.push_back(static_cast<float>(j) / static_cast<float>(last));
  }
  const auto buckets = static_cast<std::size_t>(divide_up(run.count, run.bucket));
  tensor.alpha.resize(buckets);
  tensor.beta.resize(buckets);
  tensor.codes.resize(static_cast<std::size_t>(run.count));
  const int64_t bad =
      encode_uniform(run, tensor.codes.data(), tensor.alpha.data(), tensor.beta.data());
  if (bad >= 0) refuse(segment, run.bucket, bad * run.bucket);
  return tensor;
}

}  // namespace

void check(const QuantOptions& options) {
  check_word("quant.method", options.method, {"none", "uniform"});
  if (options.bits < 1 || options.bits > 8) {
    throw Error(ExitCode::settings, concat("quant.bits is ", options.bits, " but must be 1 to 8"));
  }
  if (options.bucket < 0) {
    throw Error(ExitCode::settings,
                concat("quant.bucket is ", options.bucket,
                       " but must be 0 (one bucket a tensor) or the values of a bucket"));
  }
  check_word("quant.rounding", options.rounding, {"nearest", "stochastic"});
  check_word("quant.tensors", options.tensors, {"weights", "all"});
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
                                          const std::vector<Segment>& segments, uint64_t seed) {
  check(options);
  if (options.method == "none") return nullptr;
  return std::make_unique<UniformQuantizer>(options, segments, seed);
}

int64_t formula_bits(const QuantOptions& options, const std::vector<Segment>& segments,
                     int64_t running_statistics) {
  int64_t bits = 32 * running_statistics;
  for (const Segment& segment : segments) {
    const bool quantized = segment.quantized && worth_quantizing(options, segment.count);
    bits += quantized ? options.bits * segment.count +
                            64 * divide_up(segment.count, real_bucket(options, segment.count))
                      : 32 * segment.count;
  }
  return bits;
}

bool worth_quantizing(const QuantOptions& options, int64_t count) {
  if (options.method == "none") return false;
  const int64_t buckets = divide_up(count, real_bucket(options, count));
  return divide_up(options.bits * count, 8) + 8 * buckets < 4 * count;
}

}  // namespace bitstill
