// A peer in its configurations, and programs that run in turn.
#pragma once

#include <string>
#include <vector>

#include "bitstill/bench/process.hpp"
#include "rows.hpp"

namespace bitstill {

constexpr const char* kOurImages =
    "ours reads, checks and normalizes its images from shards; the peer keeps one batch";

/// A and B in turn, round by round.
struct Pair {
  std::vector<double> a, b;
  std::vector<double> ratios() const;  // b / a
  double least_a() const;
  double least_b() const;
};

struct Configuration {
  Json line;  // of the peer's own output
  Words flags() const;
};

/// The lines of one `--sweep` of the peer, or what an earlier start kept of it in options.sweep,
/// where that has so many.
std::vector<Json> sweep(const Peer& peer, const BenchOptions& options, const std::string& student,
                        const std::string& batch, std::size_t configurations);

Configuration fastest(const std::vector<Json>& lines, bool bf16);

/// Images a second of one run.
double peer_speed(const Peer& peer, const BenchOptions& options, const std::string& student,
                  const std::string& batch, const Configuration& configuration);

}  // namespace bitstill
