// What a person reads while a job runs: plain lines, a progress bar on a terminal, one error line.
#pragma once

#include <string>

#include "bitstill/base/place.hpp"

namespace bitstill {

/// Until this is called every process speaks; afterwards `say` and the bar speak on rank 0 only.
void set_log_place(const Place& place);
const Place& log_place();

// Lines are visible and at most kMostLineCharacters long: message_line() of text.hpp.

/// One line on standard error, rank 0 only.
void say(const std::string& line);

/// "warning: ..." on standard error, rank 0 only.
void warn(const std::string& line);

/// "error: ..." as one write(2), from whichever rank calls it.
void print_error(const std::string& message);

/// One line that is redrawn in place when standard error is a terminal; nothing otherwise.
class ProgressBar {
 public:
  explicit ProgressBar(std::string title);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// `done` of `total`, with a note such as "loss 0.31", and how long the rest takes at the pace
  /// so far. Redraws at most ten times a second.
  void show(long done, long total, const std::string& note);
  /// Removes the line, so plain lines can follow.
  void clear();

 private:
  std::string title_;
  double begin_;      // s
  double last_ = -1;  // s, of the last redraw
  bool drawn_ = false;
};

}  // namespace bitstill
