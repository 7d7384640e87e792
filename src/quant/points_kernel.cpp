// SIMD kernels of quantization to given points; Google Highway compiles this file once for every
// instruction set and picks the best one at run time.
//
// Contents: nearest point, moving values to points, sums of blocks, gradient, dispatch.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/quant/points_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "bitstill/quant/points_kernel.hpp"
#include "block_sum.hpp"
#include "buckets-inl.hpp"
#include "nearest_table.hpp"

#ifndef BITSTILL_POINTS_KERNEL_ONCE
#define BITSTILL_POINTS_KERNEL_ONCE
namespace bitstill {

constexpr int64_t kGroup =
    4 * kGradientLanes;  // values that add to a point between memory accesses

/// A block's codes and terms, padded to whole groups by zero terms of code 0; and its sums.
struct BlockWork {
  alignas(64) uint8_t codes[2 * kGradientBlock];
  alignas(64) float terms[2 * kGradientBlock];
  alignas(64) float lanes[256 * kGradientLanes];  // of point j at j kGradientLanes
};

}  // namespace bitstill
#endif

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// index + step where x > threshold.
template <class D, class V, class VI>
HWY_INLINE VI step_up(D, V x, V threshold, VI index, int32_t step) {
  const hn::RebindToSigned<D> di;
  const auto above = hn::RebindMask(di, hn::Gt(x, threshold));
  return hn::IfThenElse(above, hn::Add(index, hn::Set(di, step)), index);
}

template <class D, class VI>
HWY_INLINE hn::Vec<D> entry_of(D d, const float* rows, VI row) {
  return hn::TableLookupLanes(hn::Load(d, rows), hn::IndicesFromVec(d, row));
}

/// The row of x: how many of the fifteen thresholds between rows are below it.
template <class D, class V, class VI = hn::Vec<hn::RebindToSigned<D>>>
HWY_INLINE VI row_of(D d, V x, const NearestTable& table) {
  const hn::RebindToSigned<D> di;
  VI row = hn::Zero(di);
  if constexpr (holds_sixteen<D>()) {
    row = step_up(d, x, hn::Set(d, table.rows[7]), row, 8);
    row = step_up(d, x, entry_of(d, table.rows_from_3, row), row, 4);
    row = step_up(d, x, entry_of(d, table.rows_from_1, row), row, 2);
    row = step_up(d, x, entry_of(d, table.rows, row), row, 1);
  } else {
    for (int i = 0; i < 15; ++i) row = step_up(d, x, hn::Set(d, table.rows[i]), row, 1);
  }
  return row;
}

/// The same where 0 <= x <= 1 and the table is narrow.
template <class D, class V, class VI = hn::Vec<hn::RebindToSigned<D>>>
HWY_INLINE VI row_by_cell(D d, V x, const NearestTable& table) {
  const hn::RebindToSigned<D> di;
  const auto sum = hn::MulAdd(x, hn::Set(d, kCells - 1.0f), hn::Set(d, kCellMagic));
  const auto cell = hn::And(hn::BitCast(di, sum), hn::Set(di, kCells - 1));
  VI row = hn::TableLookupLanes(hn::Load(di, table.below), hn::IndicesFromVec(di, cell));
  row = step_up(d, x, entry_of(d, table.rows_from_1, row), row, 2);
  return step_up(d, x, entry_of(d, table.rows, row), row, 1);
}

/// The index of the point of x; of equal points, any.
template <class D, class V, class VI = hn::Vec<hn::RebindToSigned<D>>>
HWY_INLINE VI index_of(D d, V x, const NearestTable& table) {
  const hn::RebindToSigned<D> di;
  VI index = row_of(d, x, table);
  if (table.width == 1) return index;
  index = hn::Mul(index, hn::Set(di, table.width));
  for (int half = table.width / 2; half > 0; half /= 2) {
    const auto middle = hn::Add(index, hn::Set(di, half - 1));
    index = step_up(d, x, hn::GatherIndex(d, table.thresholds, middle), index, half);
  }
  return index;
}

template <class D, class VI>
HWY_INLINE hn::Vec<D> value_of(D d, VI index, const NearestTable& table) {
  if constexpr (holds_sixteen<D>()) {
    if (table.width == 1) return entry_of(d, table.values, index);
  }
  return hn::GatherIndex(d, table.values, index);
}

/// Moves whole vectors of a bucket to their points; where it stopped. kByCell: as row_by_cell
/// wants it.
template <bool kByCell, Sink kSink, class D, class T>
HWY_INLINE int64_t move_whole(D d, const float* values, int64_t count, Scale scale,
                              const NearestTable& table, T* out) {
  using V = hn::Vec<D>;
  const hn::RebindToSigned<D> di;
  const auto alpha = hn::Set(d, scale.alpha), beta = hn::Set(d, scale.beta);
  const auto scaled = [&](V v, int64_t) HWY_ATTR { return hn::Div(hn::Sub(v, beta), alpha); };
  const auto index = [&](V x, int64_t) HWY_ATTR {
    if constexpr (kByCell) return hn::BitCast(d, row_by_cell(d, x, table));
    return hn::BitCast(d, index_of(d, x, table));
  };
  if constexpr (kSink == Sink::codes) {
    const hn::Rebind<uint8_t, D> d8;
    const auto store = [&](V v, int64_t i) HWY_ATTR {
      auto code = hn::BitCast(di, v);
      if (!table.distinct) code = hn::GatherIndex(di, table.codes, code);
      hn::StoreU(hn::DemoteTo(d8, code), d8, out + i);
    };
    return move_vectors(d, values, 0, count, store, scaled, index);
  } else {
    const auto store = [&](V v, int64_t i) HWY_ATTR { store_shadows<kSink>(d, v, out + i); };
    if constexpr (kByCell) {
      const auto shadows = hn::Add(hn::Mul(hn::Load(d, table.values), alpha), beta);
      const auto shadow = [&](V v, int64_t) HWY_ATTR {
        return hn::TableLookupLanes(shadows, hn::IndicesFromVec(d, hn::BitCast(di, v)));
      };
      return move_vectors(d, values, 0, count, store, scaled, index, shadow);
    } else {
      const auto shadow = [&](V v, int64_t) HWY_ATTR {
        return hn::Add(hn::Mul(value_of(d, hn::BitCast(di, v), table), alpha), beta);
      };
      return move_vectors(d, values, 0, count, store, scaled, index, shadow);
    }
  }
}

/// `inside`: the scale is the bucket's own, so that every x lies in [0, 1].
template <Sink kSink, class T>
HWY_INLINE void move_values(const float* values, int64_t count, Scale scale, bool inside,
                            const NearestTable& table, T* out) {
  const hn::ScalableTag<float> d;
  int64_t done = 0;
  if (holds_sixteen<decltype(d)>() && inside && table.narrow) {
    constexpr bool kByCell = holds_sixteen<decltype(d)>();
    done = move_whole<kByCell, kSink>(d, values, count, scale, table, out);
  } else {
    done = move_whole<false, kSink>(d, values, count, scale, table, out);
  }
  constexpr Sink kRest = kSink == Sink::codes ? kSink : Sink::shadows;
  move_rest(values + done, count - done, out + done, [&](const float* rest, T* moved) HWY_ATTR {
    move_whole<false, kRest>(d, rest, static_cast<int64_t>(hn::Lanes(d)), scale, table, moved);
  });
}

/// All buckets of a run; keep(b, scale) is called once for each.
template <Sink kSink, class T, class Keep>
HWY_INLINE int64_t move_run(const PointsRun& run, const NearestTable& table, T* out,
                            const Keep& keep) {
  const auto scale_of = [&](int64_t b, Extent extent) { return linear_scale(run, b, extent); };
  const auto move = [&](int64_t b, int64_t begin, int64_t count, Scale scale) HWY_ATTR {
    keep(b, scale);
    move_values<kSink>(run.masters + begin, count, scale, run.alpha == nullptr, table, out + begin);
  };
  return for_each_bucket(run, run.points[0], run.points[run.point_count - 1], scale_of, move);
}

// Flattened, since steps that are called (move_vectors) cost a quarter more.
HWY_FLATTEN int64_t quantize(const PointsRun& run, bool stream, float* shadows) {
  const NearestTable table(run.points, run.point_count);
  const auto ignore = [](int64_t, Scale) {};
  return write_shadows(shadows, run.bucket, stream, [&](auto streamed) HWY_ATTR {
    constexpr Sink kSink = streamed ? Sink::streamed_shadows : Sink::shadows;
    return move_run<kSink>(run, table, shadows, ignore);
  });
}

HWY_FLATTEN int64_t encode(const PointsRun& run, uint8_t* codes, float* alpha, float* beta) {
  const NearestTable table(run.points, run.point_count);
  return move_run<Sink::codes>(run, table, codes, [&](int64_t b, Scale scale) {
    alpha[b] = scale.alpha;
    beta[b] = scale.beta;
  });
}

/// Adds the terms of whole groups to the lanes of their points, by comparing with each point.
HWY_INLINE void add_by_masks(int64_t count, int point_count, BlockWork& work) {
  const hn::CappedTag<float, kGradientLanes> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < count; i += kGroup) {
    for (int64_t lane = 0; lane < kGradientLanes; lane += lanes) {
      const int64_t at = i + lane;
      const auto code = [&](int64_t k) HWY_ATTR {
        return hn::PromoteTo(di, hn::Load(d8, work.codes + at + k * kGradientLanes));
      };
      const auto term = [&](int64_t k)
                            HWY_ATTR { return hn::Load(d, work.terms + at + k * kGradientLanes); };
      const auto code_0 = code(0), code_1 = code(1), code_2 = code(2), code_3 = code(3);
      const auto term_0 = term(0), term_1 = term(1), term_2 = term(2), term_3 = term(3);
      for (int j = 0; j < point_count; ++j) {
        float* const sums = work.lanes + j * kGradientLanes + lane;
        const auto point = hn::Set(di, j);
        // Adding +0 changes nothing, since a sum is never -0.
        const auto taken = [&](auto codes, auto terms) HWY_ATTR {
          return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(codes, point)), terms);
        };
        auto sum = hn::Add(hn::Load(d, sums), taken(code_0, term_0));
        sum = hn::Add(sum, taken(code_1, term_1));
        sum = hn::Add(sum, taken(code_2, term_2));
        hn::Store(hn::Add(sum, taken(code_3, term_3)), d, sums);
      }
    }
  }
}

/// The same by addressing.
HWY_INLINE void add_by_table(int64_t count, BlockWork& work) {
  for (int64_t i = 0; i < count; i += kGradientLanes) {
    for (int lane = 0; lane < kGradientLanes; ++lane) {
      work.lanes[work.codes[i + lane] * kGradientLanes + lane] += work.terms[i + lane];
    }
  }
}

/// The sums of one block: values [begin, end) of the run, whose codes lie in work.codes. Of each
/// bucket's part, clip(b, from, to) is called once its gradients were read.
template <class AlphaOf, class Clip>
HWY_INLINE void sum_block(int64_t begin, int64_t end, int64_t bucket, int point_count,
                          const AlphaOf& alpha_of, const float* gradients, BlockWork& work,
                          float* sums, const Clip& clip) {
  for (int64_t i = begin, stop = 0; i < end; i = stop) {
    const int64_t b = i / bucket;
    stop = std::min((b + 1) * bucket, end);
    const float alpha = alpha_of(b);
    for (int64_t k = i; k < stop; ++k) work.terms[k - begin] = alpha * gradients[k];
    clip(b, i, stop);
  }
  const int64_t count = end - begin, padded = (count + kGroup - 1) / kGroup * kGroup;
  std::fill(work.terms + count, work.terms + padded, 0.0f);
  std::fill(work.codes + count, work.codes + padded, uint8_t{0});
  std::fill_n(work.lanes, point_count * kGradientLanes, 0.0f);
  const hn::CappedTag<float, kGradientLanes> d;
  if (point_count <= static_cast<int>(hn::Lanes(d))) {
    add_by_masks(padded, point_count, work);
  } else {
    add_by_table(padded, work);
  }
  for (int j = 0; j < point_count; ++j) sums[j] = add_lanes(work.lanes + j * kGradientLanes);
}

void gradient_of_codes(const CodedRun& run, int point_count, const float* gradients, float* sums) {
  BlockWork work;
  const int64_t piece = gradient_piece(run.bucket);
  for (int64_t start = 0; start < run.count; start += piece) {
    const int64_t end = std::min(start + piece, run.count);
    for (int64_t begin = start, stop = 0; begin < end; begin = stop, sums += point_count) {
      stop = block_end(begin, end);
      std::copy(run.codes + begin, run.codes + stop, work.codes);
      sum_block(
          begin, stop, run.bucket, point_count, [&](int64_t b) { return run.alpha[b]; }, gradients,
          work, sums, [](int64_t, int64_t, int64_t) {});
    }
  }
}

/// Blocks take their codes as the buckets are assigned, so these stay in the first cache. A piece's
/// buckets are shorter than 4096 values and make one block, or the piece is one bucket.
HWY_FLATTEN int64_t gradient(const PointsRun& run, const float* gradients, float* sums,
                             float* clipped) {
  const NearestTable table(run.points, run.point_count);
  BlockWork work;
  Scale scales[kGradientBlock];  // of a piece's buckets
  const bool inside = run.alpha == nullptr;
  const int64_t piece = gradient_piece(run.bucket);
  const auto scale_of = [&](int64_t b, Extent extent) { return linear_scale(run, b, extent); };
  const auto sum = [&](int64_t begin, int64_t end) HWY_ATTR {
    const int64_t first = begin / piece * piece / run.bucket;  // the piece's first bucket
    const auto clip = [&](int64_t b, int64_t from, int64_t to) HWY_ATTR {
      if (clipped == nullptr) return;
      const Scale scale = scales[b - first];
      const float low = run.points[0] * scale.alpha + scale.beta;
      const float high = run.points[run.point_count - 1] * scale.alpha + scale.beta;
      for (int64_t i = from; i < to; ++i) {
        const bool beyond = (run.masters[i] < low) | (run.masters[i] > high);
        clipped[i] = beyond ? 0.0f : gradients[i];
      }
    };
    sum_block(
        begin, end, run.bucket, run.point_count, [&](int64_t b) { return scales[b - first].alpha; },
        gradients, work, sums, clip);
    sums += run.point_count;
  };
  const auto move = [&](int64_t b, int64_t begin, int64_t count, Scale scale) HWY_ATTR {
    const int64_t end = begin + count, start = begin / piece * piece;
    scales[b - start / run.bucket] = scale;
    if (run.bucket >= kGradientBlock) {
      for (int64_t from = begin, stop = 0; from < end; from = stop) {
        stop = block_end(from, end);
        move_values<Sink::codes>(run.masters + from, stop - from, scale, inside, table, work.codes);
        sum(from, stop);
      }
    } else {
      move_values<Sink::codes>(run.masters + begin, count, scale, inside, table,
                               work.codes + (begin - start));
      if (end == std::min(start + piece, run.count)) sum(start, end);
    }
  };
  return for_each_bucket(run, run.points[0], run.points[run.point_count - 1], scale_of, move);
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(quantize);
HWY_EXPORT(encode);
HWY_EXPORT(gradient);
HWY_EXPORT(gradient_of_codes);

int64_t quantize_points(const PointsRun& run, bool stream, float* shadows) {
  return HWY_DYNAMIC_DISPATCH(quantize)(run, stream, shadows);
}

int64_t encode_points(const PointsRun& run, uint8_t* codes, float* alpha, float* beta) {
  return HWY_DYNAMIC_DISPATCH(encode)(run, codes, alpha, beta);
}

int64_t points_gradient(const PointsRun& run, const float* gradients, float* sums, float* clipped) {
  return HWY_DYNAMIC_DISPATCH(gradient)(run, gradients, sums, clipped);
}

void points_gradient(const CodedRun& run, int point_count, const float* gradients, float* sums) {
  HWY_DYNAMIC_DISPATCH(gradient_of_codes)(run, point_count, gradients, sums);
}

void add_blocks(const float* sums, int64_t blocks, int point_count, float* gradient) {
  for (int j = 0; j < point_count; ++j) {
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[block * point_count + j];
    gradient[j] = static_cast<float>(sum);
  }
}

}  // namespace bitstill
#endif
