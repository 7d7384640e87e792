#include "life_sign.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "bitstill/base/json.hpp"
#include "bitstill/base/launch.hpp"
#include "bitstill/comm/watched.hpp"
#include "command.hpp"

namespace bitstill::life_sign {
namespace {

constexpr int kRoundsPerSign = 20;
constexpr std::chrono::milliseconds kRound(50);

std::atomic<bool> speaks{false};
std::atomic<bool> running{false}, stop_done{false};
std::atomic<int64_t> saved_step{-1};

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// What does not change; getenv is not called again, since MPI_Init sets variables.
const Json& fixed_part() {
  static const Json& kept = *new Json([] {  // never destroyed: the thread lives on at exit
    const Launch launch = own_launch();
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    return Json{{"token", launch.token}, {"generation", launch.generation}, {"host", host}};
  }());
  return kept;
}

Json sign() {
  Json line = fixed_part();
  const std::optional<Watched> place = watched();
  line["phase"] = place ? phase_name(place->phase) : running ? "run" : "start";
  line["step"] = place ? place->step : 0;
  line["timeout_s"] = place ? Json(place->timeout_s) : Json();
  line["saved"] = saved_step.load();
  line["stop"] = stop_done ? "done" : stop_requested() ? "asked" : "none";
  return line;
}

/// Nobody is left to tell when it fails.
void write_sign(const Json& line) {
  const std::string text = "\x1e" + line.dump() + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// What is worth a line of its own at once.
std::string news_in(const Json& line) {
  const std::string started = line["phase"] == "start" ? "no" : "yes";
  return started + line["saved"].dump() + line["stop"].dump() + line["timeout_s"].dump();
}

void loop() {
  std::string known;
  for (int round = 0;; ++round) {
    const Json line = sign();
    if (const std::string news = news_in(line); round % kRoundsPerSign == 0 || news != known) {
      known = news;
      write_sign(line);
    }
    std::this_thread::sleep_for(kRound);
  }
}

}  // namespace

void start() {
  const std::string rank = environment("OMPI_COMM_WORLD_RANK");
  if (own_launch().token.empty() || (rank.empty() ? environment("PMIX_RANK") : rank) != "0") {
    return;
  }
  write_sign(sign());
  speaks = true;
  std::thread(loop).detach();
}

void note_running() {
  running = true;
}

void note_saved(int64_t step) {
  saved_step = step;
}

void note_stop_done() {
  stop_done = true;
  if (speaks) write_sign(sign());
}

}  // namespace bitstill::life_sign
