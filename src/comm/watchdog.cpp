// The watchdog's thread and its messages; who tells whom what: watch_node.hpp.
#include "bitstill/comm/watchdog.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_text.hpp"
#include "bitstill/comm/injected_fault.hpp"
#include "bitstill/comm/watched.hpp"
#include "mpi_world.hpp"
#include "watch_node.hpp"

namespace bitstill {
namespace {

constexpr double kReportsPerTimeout = 20;
constexpr double kLongestPeriod_s = 0.5;
constexpr double kStopPeriod_s = 0.01;  // while ranks wait for each other in stop()

// What watched() tells. A time-out below 0: there was no watchdog yet.
std::atomic<double> watched_timeout_s{-1};
std::atomic<uint64_t> watched_place{0};  // step * 16 + phase

/// At most one message under way to each rank. No call waits; an MPI error counts as silence, and
/// the judge names the rank.
class MpiPost final : public Post {
 public:
  explicit MpiPost(MPI_Comm comm) : comm_(comm) {}

  bool send(int peer, const std::vector<int64_t>& words) override {
    Message& message = sent_[peer];
    if (!done(message)) return false;
    message.words = words;
    MPI_Isend(message.words.data(), static_cast<int>(words.size()), MPI_INT64_T, peer, 0, comm_,
              &message.request);
    return true;
  }
  bool all_sent() {
    return std::all_of(sent_.begin(), sent_.end(), [](auto& sent) { return done(sent.second); });
  }

  /// Gives `take` (the peer, its words) what has arrived. A message that its sender never completes
  /// holds up no other's.
  template <class Take>
  void receive(const Take& take) {
    MPI_Status status;
    for (int found = 0;
         MPI_Iprobe(MPI_ANY_SOURCE, 0, comm_, &found, &status) == MPI_SUCCESS && found;) {
      int words = 0;
      MPI_Get_count(&status, MPI_INT64_T, &words);
      Message& message = arriving_.emplace_back();
      message.peer = status.MPI_SOURCE;
      message.words.resize(static_cast<std::size_t>(words));
      MPI_Irecv(message.words.data(), words, MPI_INT64_T, message.peer, 0, comm_, &message.request);
    }
    for (auto message = arriving_.begin(); message != arriving_.end();) {
      const bool arrived = done(*message);
      if (arrived) take(message->peer, message->words);
      message = arrived ? arriving_.erase(message) : std::next(message);
    }
  }

  /// Leaves without the others.
  void abandon() {
    for (Message& message : arriving_) {
      MPI_Cancel(&message.request);
      MPI_Request_free(&message.request);
    }
    for (auto& [peer, message] : sent_) {
      if (message.request != MPI_REQUEST_NULL) MPI_Request_free(&message.request);
    }
  }

 private:
  struct Message {
    int peer = 0;
    std::vector<int64_t> words;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  static bool done(Message& message) {
    int flag = 0;
    return MPI_Test(&message.request, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && flag;
  }

  MPI_Comm comm_;
  std::map<int, Message> sent_;
  std::list<Message> arriving_;
};

/// Of all ranks on rank 0, elsewhere of rank 0.
std::vector<std::string> known_hosts(World& world) {
  std::vector<std::string> hosts = gather_text(world.control(), world.place().host);
  const std::string root = broadcast_text(world.control(), world.place().host, 0);
  return world.place().rank == 0 ? hosts : std::vector{root};
}

}  // namespace

struct Watchdog::State {
  State(MpiWorld& world, double timeout_s, int fan_out);
  ~State();
  void stop();

  std::atomic<uint64_t> place{0};  // step * 16 + phase
  std::atomic<int64_t> sequence{0};
  std::array<std::atomic<double>, kPhases> factors;

 private:
  Report own() const;
  bool next_round();
  void loop();

  MpiWorld& world_;
  const double timeout_s_, period_s_;
  MPI_Comm comm_;
  MpiPost post_;
  WatchNode node_;
  double now_s_ = 0;  // stands still while this thread does not run, as when it was stopped
  Timer timer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_asked_ = false, quit_ = false;  // under mutex_
  bool stopping_here_ = false;              // the thread's copy of stop_asked_
  std::thread thread_;
};

Watchdog::State::State(MpiWorld& world, double timeout_s, int fan_out)
    : world_(world),
      timeout_s_(timeout_s),
      period_s_(std::min(timeout_s / kReportsPerTimeout, kLongestPeriod_s)),
      comm_(world.duplicate_world()),
      post_(comm_),
      node_({world.place().rank, world.place().world, fan_out, timeout_s, period_s_},
            known_hosts(world)) {
  for (std::atomic<double>& factor : factors) factor = 1;
  for (const Phase phase : {Phase::start, Phase::load, Phase::save}) {
    factors[static_cast<std::size_t>(phase)] = 10;
  }
  thread_ = std::thread([this] { loop(); });
}

Watchdog::State::~State() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
    wake_.notify_all();
  }
  thread_.join();
  post_.abandon();
}

void Watchdog::State::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_asked_ = true;
    wake_.notify_all();
  }
  thread_.join();
  MPI_Comm_free(&comm_);
}

Report Watchdog::State::own() const {
  const uint64_t at = place.load(std::memory_order_relaxed);
  Report report;
  report.phase = stopping_here_ ? Phase::finish : static_cast<Phase>(at % 16);
  report.step = static_cast<int64_t>(at / 16);
  report.sequence = sequence.load(std::memory_order_relaxed);
  report.limit_s = timeout_s_ * factors[static_cast<std::size_t>(report.phase)];
  report.stopping = stopping_here_;
  return report;
}

/// Waits for the next look around; false: this rank leaves alone.
bool Watchdog::State::next_round() {
  std::unique_lock lock(mutex_);
  const double wait_s = stopping_here_ ? std::min(kStopPeriod_s, period_s_) : period_s_;
  wake_.wait_for(lock, std::chrono::duration<double>(wait_s),
                 [this] { return quit_ || stop_asked_ != stopping_here_; });
  stopping_here_ = stop_asked_;
  now_s_ += std::min(timer_.lap(), 2 * period_s_);
  return !quit_;
}

void Watchdog::State::loop() {
  while (next_round()) {
    post_.receive([this](int peer, const auto& words) { node_.receive(peer, words, now_s_); });
    const std::string line = node_.look(own(), now_s_, post_);
    if (!line.empty()) world_.end_job(ExitCode::peer, line);
    if (node_.over() && post_.all_sent()) return;
  }
}

Watchdog::Watchdog(World& world, double timeout_s, int fan_out) {
  watched_place = 0;
  watched_timeout_s = std::max(timeout_s, 0.0);
  auto* mpi = dynamic_cast<MpiWorld*>(&world);
  if (!mpi || timeout_s <= 0 || world.place().world == 1 || !world.threads_allowed()) return;
  state_ = std::make_unique<State>(*mpi, timeout_s, fan_out);
}

Watchdog::~Watchdog() = default;

void Watchdog::progress(Phase phase, int64_t step) {
  const uint64_t place = static_cast<uint64_t>(step) * 16 + static_cast<uint64_t>(phase);
  watched_place.store(place, std::memory_order_relaxed);
  if (state_) {
    state_->place.store(place, std::memory_order_relaxed);
    state_->sequence.fetch_add(1, std::memory_order_relaxed);
  }
  meet_fault(phase, step);
}

void Watchdog::allow(Phase phase, double factor) {
  if (state_) state_->factors[static_cast<std::size_t>(phase)] = factor;
}

void Watchdog::stop() {
  if (state_) state_->stop();
}

std::optional<Watched> watched() {
  const double timeout_s = watched_timeout_s;
  if (timeout_s < 0) return std::nullopt;
  const uint64_t at = watched_place.load(std::memory_order_relaxed);
  return Watched{static_cast<Phase>(at % 16), static_cast<int64_t>(at / 16), timeout_s};
}

}  // namespace bitstill
