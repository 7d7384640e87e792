// Means over seeds and differences between paired runs, with 95 % intervals.
#pragma once

#include <cstdint>
#include <vector>

namespace bitstill {

/// low and high are NaN where the data cannot tell (a single value); all three without data.
struct Interval {
  double mean, low, high;
};

/// t with P(|T| < t) = probability for Student's distribution, degrees >= 1. From the finite series
/// for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
double student_t(int64_t degrees, double probability = 0.95);

/// Of the mean of independent values, by Student's t.
Interval mean_interval(const std::vector<double>& values);

/// Of the mean of a[i] - b[i]: what varies alike in both cancels. As many values in both.
Interval paired_interval(const std::vector<double>& a, const std::vector<double>& b);

/// Of the difference of two proportions in points of percent, as if over different samples, by
/// Newcombe's method (1998, number 10) from Wilson's intervals. Over the same samples it is too
/// wide, never too narrow, where the two agree more often than by chance.
Interval proportion_difference(int64_t correct_a, int64_t samples_a, int64_t correct_b,
                               int64_t samples_b);

}  // namespace bitstill
