// SIMD; Google Highway compiles this file once for every instruction set and picks the best one at
// run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "../src/train/loss_kernel.cpp"  // from include/
#include <hwy/foreach_target.h>
// The line above includes this file again for every further target.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitstill/train/loss_kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace bitstill {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Calls op(d, i) for every vector of the row, and its last values one by one.
template <class Op>
HWY_INLINE void each(int64_t classes, const Op& op) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= classes; i += lanes) op(d, i);
  for (; i < classes; ++i) op(one, i);
}

/// A sum of vectors and of what is left over.
class Sum {
 public:
  template <class D>
  HWY_INLINE void add(D d, hn::Vec<D> v) {
    if constexpr (hn::MaxLanes(D()) == 1) {
      rest_ += hn::GetLane(v);
    } else {
      hn::StoreU(hn::Add(hn::LoadU(d, lanes_), v), d, lanes_);
    }
  }
  double total() const {
    double sum = rest_;
    for (const float lane : lanes_) sum += lane;
    return sum;
  }

 private:
  float lanes_[hn::MaxLanes(hn::ScalableTag<float>())] = {};
  double rest_ = 0;
};

/// The row's maximum, and whether all of it is finite.
HWY_INLINE bool maximum(const float* row, int64_t classes, float* most) {
  const hn::ScalableTag<float> d;
  auto lanes = hn::Set(d, -std::numeric_limits<float>::infinity());
  float rest = hn::GetLane(lanes);
  Sum sum;  // infinities and NaN stay in it
  each(classes, [&](auto tag, int64_t i) {
    const auto v = hn::LoadU(tag, row + i);
    sum.add(tag, v);
    if constexpr (hn::MaxLanes(decltype(tag)()) == 1) {
      rest = std::max(rest, hn::GetLane(v));
    } else {
      lanes = hn::Max(lanes, v);
    }
  });
  *most = std::max(rest, hn::GetLane(hn::MaxOfLanes(d, lanes)));
  return std::isfinite(sum.total());
}

/// to[i] = exp((row[i] - most) * scale); their sum.
HWY_INLINE double exponentials(const float* row, int64_t classes, float most, float scale,
                               float* to) {
  Sum sum;
  each(classes, [&](auto d, int64_t i) {
    const auto x = hn::Mul(hn::Sub(hn::LoadU(d, row + i), hn::Set(d, most)), hn::Set(d, scale));
    const auto e = hn::Exp(d, x);
    hn::StoreU(e, d, to + i);
    sum.add(d, e);
  });
  return sum.total();
}

RowLoss row_loss(const float* logits, const float* teacher, int64_t label, const RowLossOptions& o,
                 float* scratch, float* gradient) {
  const int64_t n = o.classes;
  const double t = o.temperature;
  const auto inverse = static_cast<float>(1 / t);
  float most = 0, most_teacher = 0;
  const bool finite =
      maximum(logits, n, &most) && (teacher == nullptr || maximum(teacher, n, &most_teacher));
  if (!finite) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    std::fill(gradient, gradient + n, kNan);
    return {teacher != nullptr ? kNan : 0, kNan, false};
  }
  RowLoss loss;
  loss.correct = logits[label] == most && std::find(logits, logits + label, most) == logits + label;

  // Cross-entropy: log Z - (1 - e) z_label - e mean(z), all less the maximum.
  const double z1 = exponentials(logits, n, most, 1, scratch);
  const double each_class = o.smoothing / static_cast<double>(n);
  loss.hard = std::log(z1) - (1 - o.smoothing) * (logits[label] - most);
  if (o.smoothing > 0) {
    Sum sum;
    each(n, [&](auto d, int64_t i) {
      sum.add(d, hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, most)));
    });
    loss.hard -= each_class * sum.total();
  }
  const auto hard = static_cast<float>(o.hard_weight / z1);
  const auto offset = static_cast<float>(o.hard_weight * each_class);
  const auto at_label = static_cast<float>(o.hard_weight * (1 - o.smoothing));
  if (teacher == nullptr) {
    each(n, [&](auto d, int64_t i) {
      const auto e = hn::LoadU(d, scratch + i);
      hn::StoreU(hn::MulSub(e, hn::Set(d, hard), hn::Set(d, offset)), d, gradient + i);
    });
    gradient[label] -= at_label;
    return loss;
  }

  // sum_c p_c ((t_c - z_c) / T) - log Z_t + log Z_T, each less its maximum.
  const double zt = exponentials(teacher, n, most_teacher, inverse, gradient);
  Sum weighted;
  each(n, [&](auto d, int64_t i) {
    const auto their = hn::Sub(hn::LoadU(d, teacher + i), hn::Set(d, most_teacher));
    const auto own = hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, most));
    weighted.add(d, hn::Mul(hn::LoadU(d, gradient + i), hn::Sub(their, own)));
  });
  double z_soft = z1;
  const auto their = static_cast<float>(o.soft_weight * t / zt);
  if (t == 1) {
    const auto own = static_cast<float>(o.hard_weight / z1 + o.soft_weight * t / z1);
    each(n, [&](auto d, int64_t i) {
      const auto e = hn::MulSub(hn::LoadU(d, scratch + i), hn::Set(d, own), hn::Set(d, offset));
      hn::StoreU(hn::NegMulAdd(hn::LoadU(d, gradient + i), hn::Set(d, their), e), d, gradient + i);
    });
  } else {
    each(n, [&](auto d, int64_t i) {
      const auto e = hn::MulSub(hn::LoadU(d, scratch + i), hn::Set(d, hard), hn::Set(d, offset));
      hn::StoreU(hn::NegMulAdd(hn::LoadU(d, gradient + i), hn::Set(d, their), e), d, gradient + i);
    });
    z_soft = exponentials(logits, n, most, inverse, scratch);
    const auto own = static_cast<float>(o.soft_weight * t / z_soft);
    each(n, [&](auto d, int64_t i) {
      const auto e = hn::Mul(hn::LoadU(d, scratch + i), hn::Set(d, own));
      hn::StoreU(hn::Add(hn::LoadU(d, gradient + i), e), d, gradient + i);
    });
  }
  gradient[label] -= at_label;
  loss.soft = t * t * (weighted.total() / (zt * t) - std::log(zt) + std::log(z_soft));
  return loss;
}

}  // namespace HWY_NAMESPACE
}  // namespace bitstill
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitstill {

HWY_EXPORT(row_loss);

RowLoss row_loss(const float* logits, const float* teacher, int64_t label,
                 const RowLossOptions& options, float* scratch, float* gradient) {
  return HWY_DYNAMIC_DISPATCH(row_loss)(logits, teacher, label, options, scratch, gradient);
}

}  // namespace bitstill
#endif
