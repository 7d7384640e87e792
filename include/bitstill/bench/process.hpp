// Other programs, and this one on several ranks, run and timed by bench.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/json.hpp"

namespace bitstill {

using Words = std::vector<std::string>;

struct Finished {
  double seconds = 0;      // wall time from start to exit
  double cpu_seconds = 0;  // of the program and what it waited for
  std::string output;      // standard output
  double memory_mb = 0;    // the peak of the largest process among them
};

/// Error(environment) with the last line of a program's standard error.
class ProgramFailed : public Error {
 public:
  ProgramFailed(int exit_code, const std::string& message)
      : Error(ExitCode::environment, message), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }  // -1: a signal ended it

 private:
  int exit_code_;
};

/// Runs words[0], looked up in PATH, with `environment` ("NAME=value") beside the present one.
/// ProgramFailed when it fails.
Finished run_program(const Words& words, const Words& environment = {});

/// mpirun -n ranks, bound to cores where there are enough.
Words on_ranks(int ranks, const Words& command);
/// This program.
std::string own_path();
/// A file of the checkout that this program was built in; empty: there is none.
std::string checkout_file(const std::string& name);
/// Of this process, so far.
double cpu_seconds();

/// The lines of `text` that are JSON objects.
std::vector<Json> json_lines(const std::string& text);
/// Of each line of `text` that begins so, behind blanks, and has `unit`: the number before it.
std::vector<double> numbers_before(const std::string& unit, const std::string& begin,
                                   const std::string& text);

/// One run of bench step on two ranks of one thread: a line for each method.
std::vector<Json> run_step(const Words& arguments);
constexpr int kStepRanks = 2;

/// A script of tests/bench, or else of BITSTILL_PEERS, run by BITSTILL_PEER_PYTHON.
class Peer {
 public:
  explicit Peer(const std::string& script = "ddp_distill.py");
  /// Why it cannot run here; empty when it can.
  const std::string& absent() const { return absent_; }
  /// On two ranks of one thread.
  Finished run(const Words& arguments) const;
  /// In one process of one thread. Error(environment) as run_program has it.
  Finished run_alone(const Words& arguments) const { return run_in("", arguments); }
  /// The same in a folder, whose Python modules it finds.
  Finished run_in(const std::string& folder, const Words& arguments) const;

 private:
  std::string python_, script_, absent_;
};

}  // namespace bitstill
