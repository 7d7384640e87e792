#include "bitstill/base/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr double kFirstEta_s = 1;  // a pace is not known earlier
constexpr const char* kEraseLine = "\r\033[K";

std::atomic<bool> bar_is_drawn{false};

Place& place() {
  static Place& kept = *new Place;  // never destroyed: threads may still speak at exit
  return kept;
}

/// mpirun puts a pipe before standard error; launch/run.sh says whether a terminal is behind it.
bool terminal_is_there() {
  static const bool there =
      isatty(STDERR_FILENO) != 0 || std::getenv("BITSTILL_TERMINAL") != nullptr;
  return there;
}

/// One write(2), so lines of several ranks do not mix. Nobody is left to tell when it fails.
void put(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Above a drawn bar a plain line takes the bar's place; the bar's next redraw follows below it.
void put_line(const std::string& line) {
  put((bar_is_drawn.exchange(false) ? kEraseLine : "") + message_line(line) + "\n");
}

}  // namespace

void set_log_place(const Place& new_place) {
  place() = new_place;
}

const Place& log_place() {
  return place();
}

void say(const std::string& line) {
  if (place().rank == 0) put_line(line);
}

void warn(const std::string& line) {
  say("warning: " + line);
}

void print_error(const std::string& message) {
  put_line("error: " + message);
}

ProgressBar::ProgressBar(std::string title) : title_(std::move(title)), begin_(now_s()) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::show(long done, long total, const std::string& note) {
  if (place().rank != 0 || !terminal_is_there()) return;
  const double now = now_s();
  if (last_ >= 0 && now - last_ < 0.1 && done < total) return;
  last_ = now;
  constexpr long kWidth = 30;
  const double part =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  const auto filled = static_cast<std::size_t>(part * kWidth);
  std::string line = concat(title_, " [", std::string(filled, '#'),
                            std::string(kWidth - filled, '.'), "] ", done, "/", total);
  if (!note.empty()) line += "  " + note;
  if (done > 0 && done < total && now - begin_ >= kFirstEta_s) {
    line += "  eta " + human_time((now - begin_) * (1 - part) / part);
  }
  put(kEraseLine + message_line(line));
  drawn_ = true;
  bar_is_drawn = true;
}

void ProgressBar::clear() {
  if (drawn_ && bar_is_drawn.exchange(false)) put(kEraseLine);
  drawn_ = false;
}

}  // namespace bitstill
