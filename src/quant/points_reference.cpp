// The slow reference of the kernels for given points and of their gradient.
#include <algorithm>
#include <cmath>

#include "bitstill/quant/points_kernel.hpp"
#include "block_sum.hpp"
#include "nearest_table.hpp"
#include "reference_scale.hpp"

namespace bitstill {
namespace {

int code_of(const PointsRun& run, float x) {
  int code = 0;
  for (int j = 1; j < run.point_count; ++j) {
    const bool higher = run.points[j] > run.points[code];
    if (higher && x > lower_middle(run.points[j - 1], run.points[j])) code = j;
  }
  return code;
}

}  // namespace

int64_t reference_points(const PointsRun& run, float* shadows, uint8_t* codes, float* alpha,
                         float* beta) {
  const float first = run.points[0], last = run.points[run.point_count - 1];
  for (int64_t b = 0, begin = 0; begin < run.count; ++b, begin += run.bucket) {
    const int64_t end = std::min(begin + run.bucket, run.count);
    const ReferenceScale scale = reference_scale(run, b, begin, end, first, last);
    if (!scale.good) return b;
    alpha[b] = scale.alpha;
    beta[b] = scale.beta;
    for (int64_t i = begin; i < end; ++i) {
      const int code = code_of(run, (run.masters[i] - scale.beta) / scale.alpha);
      codes[i] = static_cast<uint8_t>(code);
      shadows[i] = run.points[code] * scale.alpha + scale.beta;
    }
  }
  return -1;
}

void reference_points_gradient(const CodedRun& run, int point_count, const float* gradients,
                               float* sums) {
  const int64_t piece = gradient_piece(run.bucket);
  for (int64_t start = 0; start < run.count; start += piece) {
    const int64_t end = std::min(start + piece, run.count);
    for (int64_t begin = start, stop = 0; begin < end; begin = stop, sums += point_count) {
      stop = block_end(begin, end);
      for (int j = 0; j < point_count; ++j) {
        LaneSum sum;
        for (int64_t i = begin; i < stop; ++i) {
          if (run.codes[i] == j) sum.add(i - begin, run.alpha[i / run.bucket] * gradients[i]);
        }
        sums[j] = sum.total();
      }
    }
  }
}

}  // namespace bitstill
