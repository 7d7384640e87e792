// P3: the fused quantize kernel.
#include "bitstill/base/text.hpp"
#include "bitstill/quant/measure.hpp"
#include "rows.hpp"

namespace bitstill {

namespace {

/// Two parts: beside memcpy and beside LibTorch's operations.
void add_parts(Row& row, const std::string& name, const KernelTimes& times, double over_copy,
               double over_operations) {
  const auto add = [&](const char* other_name, const KernelTime& other, double target) {
    row.parts.push_back(
        {concat(name, ", over ", other_name),
         other.seconds_median / times.fused.seconds_median,
         target,
         true,
         {{"ms_median", {1e3 * times.fused.seconds_median, 1e3 * other.seconds_median}},
          {"ms_min", {1e3 * times.fused.seconds_min, 1e3 * other.seconds_min}},
          {"value_of_minima", other.seconds_min / times.fused.seconds_min}}});
  };
  add("memcpy", times.copy, over_copy);
  add("operations", times.operations, over_operations);
}

}  // namespace

Row bench_kernels(const BenchOptions& options) {
  constexpr int kPoints = 16;
  Row row;
  row.against = "memcpy of the same bytes, and the same quantizer in LibTorch's operations";
  row.conditions = {{"threads", 1}, {"bucket", 256}, {"rounds", options.rounds}};
  const auto rounds = static_cast<int>(options.rounds);
  // 4 MB: there memcpy runs in the cache.
  const struct {
    const char* name;
    int64_t bytes;
    double uniform_over_copy, nearest_over_copy;
  } sizes[] = {{"64 MB", 64'000'000, 0.85, 0.8}, {"student1's 4 MB", 4'000'940, 0.4, 0.3}};
  for (const auto& size : sizes) {
    for (const int64_t bits : {2, 4, 8}) {
      add_parts(row, concat("uniform ", bits, " bits, ", size.name),
                measure_uniform(size.bytes, bits, rounds), size.uniform_over_copy, 10);
    }
    add_parts(row, concat("nearest of ", kPoints, " points, ", size.name),
              measure_points(size.bytes, kPoints, rounds), size.nearest_over_copy, 50);
    const KernelTimes gradient = measure_points_gradient(size.bytes, kPoints, rounds);
    row.conditions[concat("gradient of ", kPoints, " points, ", size.name,
                          ", ms: ours, operations")] = {1e3 * gradient.fused.seconds_median,
                                                        1e3 * gradient.operations.seconds_median};
  }
  return row;
}

}  // namespace bitstill
