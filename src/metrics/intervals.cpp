#include "bitstill/metrics/intervals.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "bitstill/metrics/accuracy.hpp"

namespace bitstill {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// P(|T| < t) for t = sqrt(degrees) tan(angle).
double central_probability(double angle, int64_t degrees) {
  const double cosine = std::cos(angle), sine = std::sin(angle);
  const bool odd = degrees % 2 == 1;
  double sum = 0, term = odd ? cosine : 1;
  for (int64_t k = odd ? 3 : 2; k <= degrees; k += 2) {
    sum += term;
    term *= cosine * cosine * static_cast<double>(k - 1) / static_cast<double>(k);
  }
  return odd ? 2 / std::numbers::pi * (angle + sine * sum) : sine * sum;
}

}  // namespace

double student_t(int64_t degrees, double probability) {
  double low = 0, high = std::numbers::pi / 2;
  for (int i = 0; i < 100; ++i) {  // halving: 2^-100 is below any rounding
    const double middle = (low + high) / 2;
    (central_probability(middle, degrees) < probability ? low : high) = middle;
  }
  return std::sqrt(static_cast<double>(degrees)) * std::tan((low + high) / 2);
}

Interval mean_interval(const std::vector<double>& values) {
  if (values.empty()) return {kUnknown, kUnknown, kUnknown};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() == 1) return {mean, kUnknown, kUnknown};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half =
      student_t(static_cast<int64_t>(values.size()) - 1) * std::sqrt(squares / (n - 1) / n);
  return {mean, mean - half, mean + half};
}

Interval paired_interval(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return mean_interval(differences);
}

Interval proportion_difference(int64_t correct_a, int64_t samples_a, int64_t correct_b,
                               int64_t samples_b) {
  if (samples_a <= 0 || samples_b <= 0) return {kUnknown, kUnknown, kUnknown};
  const auto percent = [](int64_t correct, int64_t samples) {
    return 100 * static_cast<double>(correct) / static_cast<double>(samples);
  };
  const double a = percent(correct_a, samples_a), b = percent(correct_b, samples_b);
  const auto [low_a, high_a] = wilson_interval(correct_a, samples_a);
  const auto [low_b, high_b] = wilson_interval(correct_b, samples_b);
  return {a - b, a - b - std::hypot(a - low_a, high_b - b),
          a - b + std::hypot(high_a - a, b - low_b)};
}

}  // namespace bitstill
