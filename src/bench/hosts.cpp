// P4: the exchange between several hosts.
#include "hosts.hpp"

#include <algorithm>
#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/bench/process.hpp"

namespace bitstill {
namespace {

/// The shares that were hidden, round by round.
struct HiddenShares {
  std::vector<double> on, off, busy_ms, exposed_ms;
  std::vector<double> gathers, gathers_busy_ms, gathers_exposed_ms;  // a teacher in slices beside
  std::map<double, std::vector<double>> peer;  // by bucket_cap_mb; 0: the default
  Json last;                                   // line of ours
};

HiddenShares read_shares(const std::vector<Json>& lines) {
  HiddenShares shares;
  for (const Json& line : lines) {
    if (line.contains("peer")) {
      shares.peer[line["bucket_cap_mb"].get<double>()].push_back(line["hidden"].get<double>());
    } else if (line["teacher_slices"].is_object()) {
      shares.gathers.push_back(line["emulated"]["hidden"].get<double>());
      shares.gathers_busy_ms.push_back(line["ms"]["gather_busy"].get<double>());
      shares.gathers_exposed_ms.push_back(line["ms"]["gather"].get<double>());
    } else if (line["overlap"] == "on") {
      shares.on.push_back(line["emulated"]["hidden"].get<double>());
      shares.busy_ms.push_back(line["ms"]["exchange_busy"].get<double>());
      shares.exposed_ms.push_back(line["emulated"]["exposed_ms"].get<double>());
      shares.last = line;
    } else {
      shares.off.push_back(line["emulated"]["hidden"].get<double>());
    }
  }
  return shares;
}

void peer_parts(const HiddenShares& shares, Row& row) {
  const double ours = median(shares.on);
  Json all = Json::object();
  double best = -1;
  for (const auto& [bucket, hidden] : shares.peer) {
    all[bucket > 0 ? concat(bucket, " MB") : "default"] = median(hidden);
    best = std::max(best, median(hidden));
  }
  row.parts.push_back({"points above DDP's default buckets",
                       100 * (ours - median(shares.peer.at(0))),
                       10,
                       true,
                       {{"peer", all}}});
  row.parts.push_back({"points above DDP's best", 100 * (ours - best), 0, true, {{"peer", all}}});
}

}  // namespace

std::vector<Json> lines_of_hosts(const std::string& what, const BenchOptions& options, Row& row) {
  const std::string script = checkout_file("tests/bench/hosts.sh");
  if (script.empty()) {
    row.skip = "tests/bench/hosts.sh is not beside the build: run a checkout's program";
    return {};
  }
  auto lines =
      json_lines(run_program({"bash", script, what, own_path(), std::to_string(options.rounds),
                              std::to_string(options.steps)})
                     .output);
  if (lines.empty() || !lines[0].contains("skip")) return lines;
  row.skip = lines[0]["skip"].get<std::string>();
  return {};
}

Row bench_hidden_exchange(const BenchOptions& options) {
  Row row;
  row.against =
      "DistributedDataParallel over gloo on the same hosts and emulated layers, default buckets "
      "and a sweep; hidden: 1 - (its step - the same without it) / one sum of all gradients";
  row.conditions = {
      {"hosts", 4}, {"link", "200 Mbit/s"}, {"rounds", options.rounds}, {"student", "student1"}};
  const std::vector<Json> lines = lines_of_hosts("P4", options, row);
  if (lines.empty()) return row;
  const HiddenShares shares = read_shares(lines);
  const Json& emulated = shares.last["emulated"];
  row.conditions["backward_ms"] = emulated["backward_ms"];
  row.conditions["chunk_bytes"] = shares.last["chunk_bytes"];
  row.parts.push_back(
      {"hidden share of the exchange",
       median(shares.on),
       0.95,
       true,
       {{"without_overlap", median(shares.off)},
        {"busy_ms", median(shares.busy_ms)},
        {"exposed_ms", median(shares.exposed_ms)},
        {"busy_over_backward", median(shares.busy_ms) / emulated["backward_ms"].get<double>()},
        {"rounds", shares.on}}});
  row.parts.push_back({"hidden share, a teacher's gathers beside it",
                       median(shares.gathers),
                       0.95,
                       true,
                       {{"gather_busy_ms", median(shares.gathers_busy_ms)},
                        {"gather_exposed_ms", median(shares.gathers_exposed_ms)},
                        {"rounds", shares.gathers}}});
  if (shares.peer.empty()) {
    row.skip = "against the peer: BITSTILL_PEER_PYTHON (a Python with PyTorch) is not set";
  } else {
    peer_parts(shares, row);
  }
  return row;
}

}  // namespace bitstill
