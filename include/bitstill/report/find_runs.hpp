// Which of the given folders are runs, or hold some.
#pragma once

#include <string>
#include <vector>

#include "bitstill/report/report.hpp"

namespace bitstill {

/// Whether the folder is a run's: it holds run.jsonl.
bool is_run(const std::string& folder);

struct FoundRuns {
  std::vector<std::string> folders;  // as given, those below a given one by name; each once
  std::vector<std::string> skipped;  // given, but neither runs nor folders with runs
};

/// Searches given folders a few levels down. Error(data) for a path that is not there, and where
/// there is no run at all.
FoundRuns find_runs(const std::vector<std::string>& paths);

/// Each run and what its teacher's run says. Where several are read, one whose log is damaged does
/// not keep the others away: it becomes a run that says so and nothing else.
std::vector<Run> read_runs(const std::vector<std::string>& folders);

}  // namespace bitstill
