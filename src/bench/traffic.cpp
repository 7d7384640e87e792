// P10: bytes and messages of the training step by kind, against a step without learned points.
#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

double sent(const Json& line, const char* kind, const char* what) {
  return line["sent"][kind][what].get<double>();
}

double sent(const Json& line, const char* what) {
  double sum = 0;
  for (const auto& [kind, counts] : line["sent"].items()) sum += counts[what].get<double>();
  return sum;
}

}  // namespace

Row bench_traffic(const BenchOptions&) {
  Row row;
  row.against = "the same step with points that are not learned (uniform); counters of one rank";
  row.conditions = {{"ranks", kStepRanks}, {"student", "student1"}, {"tensors", "all"}};
  for (const char* bits : {"2", "4"}) {
    const auto lines =
        run_step({"--student", "student1", "--teacher", "none", "--batch", "2", "--methods",
                  "uniform,joint,lsq,points", "--bits", bits, "--steps", "4", "--warmup", "1"});
    const Json& plain = lines.at(0);
    const std::string where = concat(", ", bits, " bits");
    for (const std::size_t method : {1u, 2u}) {
      const Json& line = lines.at(method);
      const std::string name = line["method"].get<std::string>() + where;
      for (const char* what : {"bytes", "messages"}) {
        row.parts.push_back({concat(name, ", ", what, " more a step"),
                             sent(line, what) - sent(plain, what),
                             0,
                             false,
                             {{"sent", line["sent"]}}});
      }
    }
    const Json& points = lines.at(3);
    // The step's sums (losses, statistics) ride in the same message.
    const double bytes = sent(points, "points", "bytes") - points["sum_bytes"].get<double>();
    row.parts.push_back({concat("points", where, ", their bytes a step over 4 x points"),
                         bytes / (4 * points["learned_values"].get<double>()),
                         1,
                         false,
                         {{"sent", points["sent"]}, {"points", points["learned_values"]}}});
    row.parts.push_back({concat("points", where, ", the weights' gradients over their bytes"),
                         sent(plain, "gradients", "bytes") / bytes,
                         1000,
                         true,
                         {{"gradient_bytes", sent(plain, "gradients", "bytes")},
                          {"gradient_bytes_with_points", sent(points, "gradients", "bytes")},
                          {"point_bytes", bytes}}});
  }
  return row;
}

}  // namespace bitstill
