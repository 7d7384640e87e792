// run.jsonl: one JSON object a line, written by rank 0, flushed at every line.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "bitstill/base/event_file.hpp"
#include "bitstill/base/json.hpp"

namespace bitstill {

constexpr uint64_t kMostLogBytes = uint64_t{1} << 30;  // that a reader takes

/// Appends lines to a run log. On other ranks, and without a path, writes nothing.
class RunLog {
 public:
  RunLog() = default;
  /// Opens `path` for appending (resume) or anew. Error(storage) when it cannot.
  RunLog(const std::string& path, bool append);
  /// From now on steps' and epochs' losses, accuracies and rates also go to a file for TensorBoard
  /// in `folder`. Error(storage) when it cannot be made.
  void mirror(const std::string& folder);
  /// Error(storage) when the line cannot be written.
  void write(const Json& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
  std::unique_ptr<EventFile> events_;
  int64_t step_ = 0;  // of the last line that names one
};

}  // namespace bitstill
