// P3: the fused quantize kernel.
#include "bench.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/quant/measure.hpp"

namespace bitstill {

Row bench_kernels(const BenchOptions& options) {
  Row row;
  row.against = "memcpy of the same bytes, and the same quantizer in LibTorch's operations";
  row.missing = {"nearest of 16 points"};
  row.conditions = {{"threads", 1}, {"bucket", 256}, {"rounds", options.rounds}};
  const struct {
    const char* name;
    int64_t bytes;
  } sizes[] = {{"64 MB", 64'000'000}, {"student1's 4 MB", 4'000'940}};
  for (const auto& size : sizes) {
    for (const int64_t bits : {2, 4, 8}) {
      const UniformTimes times =
          measure_uniform(size.bytes, bits, static_cast<int>(options.rounds));
      const auto beside = [&](const KernelTime& other) -> Json {
        return {{"ms_median", {1e3 * times.fused.seconds_median, 1e3 * other.seconds_median}},
                {"ms_min", {1e3 * times.fused.seconds_min, 1e3 * other.seconds_min}},
                {"value_of_minima", other.seconds_min / times.fused.seconds_min}};
      };
      const std::string name = concat("uniform ", bits, " bits, ", size.name, ", over ");
      row.parts.push_back({name + "memcpy", times.copy.seconds_median / times.fused.seconds_median,
                           0.5, true, beside(times.copy)});
      row.parts.push_back({name + "operations",
                           times.operations.seconds_median / times.fused.seconds_median, 10, true,
                           beside(times.operations)});
    }
  }
  return row;
}

}  // namespace bitstill
