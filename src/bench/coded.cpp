// P4q: what exchange.codec = qsgd sends and gains, and whether auto ever loses.
#include <map>

#include "bitstill/base/text.hpp"
#include "hosts.hpp"

namespace bitstill {
namespace {

/// Figures of one asked codec at one speed of the links, round by round.
struct CodecFigures {
  std::vector<double> step_ms;
  std::vector<std::string> used;
};

struct CodecTable {
  std::map<std::pair<int64_t, std::string>, CodecFigures> figures;  // by Mbit/s and asked codec
  std::map<std::string, double> step_bytes;                         // of a host, by codec
};

CodecTable read_codecs(const std::vector<Json>& lines) {
  CodecTable table;
  for (const Json& line : lines) {
    const auto asked = line.at("asked").get<std::string>();
    if (line.contains("step_bytes")) {
      table.step_bytes[asked] = line["step_bytes"].get<double>();
      continue;
    }
    CodecFigures& figures = table.figures[{line.at("mbit_s").get<int64_t>(), asked}];
    figures.step_ms.push_back(line.at("step").at("step_ms_median").get<double>());
    figures.used.push_back(line["step"].at("codec").get<std::string>());
  }
  return table;
}

Json details(const CodecFigures& none, const CodecFigures& other) {
  return {{"none_ms", none.step_ms}, {"ms", other.step_ms}, {"codec", other.used}};
}

}  // namespace

Row bench_coded_exchange(const BenchOptions& options) {
  Row row;
  row.against = "exchange.codec = none on the same hosts, in turn";
  row.conditions = {{"hosts", 4}, {"rounds", options.rounds}, {"student", "student1, emulated"}};
  const auto lines = lines_of_hosts("P4q", options, row);
  if (lines.empty()) return row;
  const CodecTable table = read_codecs(lines);
  const CodecFigures& none = table.figures.at({100, "none"});
  const CodecFigures& qsgd = table.figures.at({100, "qsgd"});
  const double bytes = table.step_bytes.at("qsgd"), plain = table.step_bytes.at("none");
  row.parts.push_back({"qsgd's bytes on the hosts' links over none's",
                       bytes / plain,
                       1.0 / 6,
                       false,
                       {{"none_bytes", plain}, {"bytes", bytes}}});
  row.parts.push_back({"faster steps at 100 Mbit/s", median(none.step_ms) / median(qsgd.step_ms), 3,
                       true, details(none, qsgd)});
  for (const int64_t rate : {50, 200, 1000}) {
    const CodecFigures& exact = table.figures.at({rate, "none"});
    const CodecFigures& chosen = table.figures.at({rate, "auto"});
    row.parts.push_back({concat("auto's step over none's at ", rate, " Mbit/s"),
                         median(chosen.step_ms) / median(exact.step_ms), 1.02, false,
                         details(exact, chosen)});
  }
  return row;
}

}  // namespace bitstill
