// Rows of figures of this machine, each beside what it is compared with: the speed targets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/base/words.hpp"

namespace bitstill {

struct BenchOptions {
  int64_t rounds = 7, steps = 20;
  std::string students = "student1,student3", batches = "32,4", precisions = "auto";
  std::string sweep;
};
template <ConstOr<BenchOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("rounds", options.rounds, "A B A B ...: how often each is run");
  visit("steps", options.steps, "steps a round");
  visit("students", options.students, "P1, P2, P9: which");
  visit("batches", options.batches, "P1, P2, P9: images a rank and step");
  visit("precisions", options.precisions,
        "P1: fp32,bf16; auto: fp32, and bf16 where the processor multiplies it");
  visit("sweep", options.sweep, "P1: a file that keeps the peer's sweeps for the next start");
}

/// A line a row, for --help.
std::string bench_rows();

/// Error(settings) for what measure_rows would refuse.
void check(const BenchOptions& options, const std::vector<std::string>& rows);

/// Measures the rows in this process and in others that it starts, and prints each: a JSON line or
/// as text. False: a target was missed. `versions`: of what takes part. Error(environment) where a
/// measured program fails.
bool measure_rows(const std::vector<std::string>& rows, const BenchOptions& options,
                  const Json& versions, bool json);

}  // namespace bitstill
