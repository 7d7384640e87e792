// One axis of a figure: where a value lies, and the round numbers that mark it.
#pragma once

#include <vector>

namespace bitstill {

/// How values are spread. `error` is for accuracies in percent, spread by the logarithm of
/// 100 - accuracy: 98 and 99 stand as far apart as 80 and 90.
enum class Spacing { linear, logarithmic, error };

class Axis {
 public:
  enum class End { round, exact };  // at the next round value, or at the data's own
  /// Covers the finite values of `values` (where the scale needs it, the positive ones), and zero
  /// where `from_zero` asks for it on a linear axis.
  Axis(Spacing scale, const std::vector<double>& values, bool from_zero = false,
       End end = End::round);

  /// 0 at the low end, 1 at the high end; values outside lie at the nearer end.
  double place(double value) const;
  /// Whether the value lies on the axis rather than beyond an end.
  bool covers(double value) const;
  /// Ascending round values within the axis, at least two.
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  double spread(double value) const;
  Spacing scale_;
  double low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

}  // namespace bitstill
