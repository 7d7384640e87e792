// How many points each tensor gets: Algorithm 2's redistribution (the paper).
#pragma once

#include <cstdint>
#include <vector>

namespace bitstill {

/// One quantized tensor of the budget.
struct PointShare {
  int64_t weights = 0;    // n
  int64_t points = 0;     // before: 2..min(256, n / 2)
  double importance = 0;  // 2-norm of the mean gradient
};

/// Each tensor keeps half of its points; the other half of all goes out in proportion to the
/// importances by largest remainders (the lower index first where they are equal), at most
/// min(256, n / 2) to a tensor, the excess to the others. The total stays as it is; at least 2
/// each.
std::vector<int64_t> redistribute_points(const std::vector<PointShare>& tensors);

/// The same proportions, but sum n log2(points) stays at most as it is (as near as whole numbers
/// come): bytes, not points.
std::vector<int64_t> redistribute_bytes(const std::vector<PointShare>& tensors);

}  // namespace bitstill
