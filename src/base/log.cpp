#include "bitstill/base/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bitstill {
namespace {

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

/// Above a drawn bar a plain line takes the bar's place; the bar's next redraw follows below it.
void put_line(const std::string& line) {
  put((bar_is_drawn.exchange(false) ? kEraseLine : "") + line + "\n");
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
  std::string line = "error: " + message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\r', ' ');
  put_line(line);
}

ProgressBar::ProgressBar(std::string title) : title_(std::move(title)) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::show(long done, long total, const std::string& note) {
  if (place().rank != 0 || !terminal_is_there()) return;
  const double now =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (last_ >= 0 && now - last_ < 0.1 && done < total) return;
  last_ = now;
  constexpr long kWidth = 30;
  const double part =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  const auto filled = static_cast<std::size_t>(part * kWidth);
  std::string line = kEraseLine + title_ + " [" + std::string(filled, '#') +
                     std::string(kWidth - filled, '.') + "] " + std::to_string(done) + "/" +
                     std::to_string(total);
  if (!note.empty()) line += "  " + note;
  put(line);
  drawn_ = true;
  bar_is_drawn = true;
}

void ProgressBar::clear() {
  if (drawn_ && bar_is_drawn.exchange(false)) put(kEraseLine);
  drawn_ = false;
}

}  // namespace bitstill
