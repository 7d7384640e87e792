// P12 and P13: how small the codes become, and how fast they are read.
#include <algorithm>

#include "bitstill/base/text.hpp"
#include "bitstill/codec/measure.hpp"
#include "rows.hpp"

namespace bitstill {

Row bench_file_size(const BenchOptions&) {
  Row row;
  row.against =
      "the summed zero-order entropy of each tensor's codes, and zstd -19 of packed codes";
  row.conditions = {{"weights", "Gaussian, uniform points, buckets of 256"}};
  for (const NetworkShape& network : {student1_shape(), teacher_shape()}) {
    for (const std::size_t bits : {2, 3, 4, 5, 6, 8}) {
      const CodecSizes sizes = measure_sizes(network, std::size_t{1} << bits);
      const auto payload = static_cast<double>(sizes.payload);
      const auto contents = static_cast<double>(sizes.contents);
      const std::string name = concat(network.name, ", ", bits, " bits, ");
      const Json bytes = {{"payload", sizes.payload},
                          {"entropy", sizes.entropy},
                          {"zstd19", sizes.zstd},
                          {"file", sizes.file},
                          {"contents", sizes.contents}};
      row.parts.push_back({name + "payload over entropy", payload / sizes.entropy,
                           bits >= 3 ? 1.02 : 1.04, false, bytes});
      row.parts.push_back({name + "payload over zstd -19",
                           payload / static_cast<double>(sizes.zstd), 1, false, Json::object()});
      row.parts.push_back({name + "file over its contents",
                           static_cast<double>(sizes.file) / contents,
                           std::max(1.02, 1 + 8192 / contents), false, Json::object()});
    }
  }
  return row;
}

Row bench_decode(const BenchOptions& options) {
  Row row;
  row.against = "zstd's huff0 (libzstd, literals without matches) and memcpy of the same codes";
  row.conditions = {{"threads", 1}, {"codes", 1'000'000}, {"rounds", options.rounds}};
  for (std::size_t bits = 1; bits <= 8; ++bits) {
    const CodecTimes times =
        measure_decode(1'000'000, std::size_t{1} << bits, static_cast<int>(options.rounds));
    const auto beside = [](const CodecTime& ours, const CodecTime& other) -> Json {
      return {{"codes_per_ns", 1e-3 / ours.seconds_median},
              {"theirs_per_ns", 1e-3 / other.seconds_median},
              {"value_of_minima", other.seconds_min / ours.seconds_min}};
    };
    row.parts.push_back({concat("decode, ", bits, " bits, over huff0"),
                         times.huff0.seconds_median / times.decode.seconds_median, 1, true,
                         beside(times.decode, times.huff0)});
    row.parts.push_back({concat("unpack, ", bits, " bits, over memcpy"),
                         times.memcpy.seconds_median / times.unpack.seconds_median, 0.8, true,
                         beside(times.unpack, times.memcpy)});
  }
  return row;
}

}  // namespace bitstill
