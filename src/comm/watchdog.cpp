// The watchdog's thread and its messages. Each rank but 0 talks with rank 0 only.
//
// End: a rank in stop() reports so; once rank 0 has heard it of all, it sends `end` to each, its
// last message to that rank; the rank answers `bye`, its last one. So nothing is left under way.
#include "bitstill/comm/watchdog.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/injected_fault.hpp"
#include "bitstill/comm/watched.hpp"
#include "judge.hpp"
#include "mpi_world.hpp"

namespace bitstill {
namespace {

constexpr double kReportsPerTimeout = 20;
constexpr double kLongestPeriod_s = 0.5;
constexpr double kSilentPeriods = 4;    // a healthy rank is never silent for longer
constexpr double kStopPeriod_s = 0.01;  // while ranks wait for each other in stop()
constexpr double kPatience_s = 0.3;     // by which rank r lets rank r - 1 speak first
constexpr std::size_t kHostBytes = 64;

// What watched() tells. A time-out below 0: there was no watchdog yet.
std::atomic<double> watched_timeout_s{-1};
std::atomic<uint64_t> watched_place{0};  // step * 16 + phase

struct Kind {
  enum : int64_t { report, stopping, end, bye };
};

struct Message {
  int64_t kind = Kind::report;
  int64_t phase = 0, step = 0, sequence = 0, limit_us = 0;
};
constexpr int kMessageWords = sizeof(Message) / sizeof(int64_t);

/// Messages to and from one rank, at most one under way in each direction. An MPI error counts as
/// silence: the judge names the rank.
class Link {
 public:
  Link(MPI_Comm comm, int peer) : comm_(comm), peer_(peer) {}

  /// Sends `message` if it is due (a period has passed, or it is of a new kind), and if the one
  /// before it has left. Nothing follows `end` or `bye`.
  void offer(const Message& message, double now_s, double period_s) {
    const bool news = message.kind != out_.kind;
    if (closed() || (!news && now_s - sent_s_ < period_s) || !done(send_)) return;
    out_ = message;
    sent_s_ = now_s;
    MPI_Isend(&out_, kMessageWords, MPI_INT64_T, peer_, 0, comm_, &send_);
  }
  bool closed() const { return out_.kind == Kind::end || out_.kind == Kind::bye; }
  bool all_sent() { return done(send_); }

  std::optional<Message> receive() {
    if (receive_ == MPI_REQUEST_NULL) {
      MPI_Irecv(&in_, kMessageWords, MPI_INT64_T, peer_, 0, comm_, &receive_);
    }
    if (!done(receive_)) return std::nullopt;
    return in_;
  }

  /// Leaves without the peer.
  void abandon() {
    if (receive_ != MPI_REQUEST_NULL) MPI_Cancel(&receive_);
    for (MPI_Request* request : {&receive_, &send_}) {
      if (*request != MPI_REQUEST_NULL) MPI_Request_free(request);
    }
  }

 private:
  static bool done(MPI_Request& request) {
    int flag = 0;
    return MPI_Test(&request, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && flag;
  }

  MPI_Comm comm_;
  int peer_;
  Message in_, out_;
  double sent_s_ = -1e9;
  MPI_Request send_ = MPI_REQUEST_NULL, receive_ = MPI_REQUEST_NULL;
};

std::vector<std::string> gather_hosts(World& world) {
  const Place& place = world.place();
  char mine[kHostBytes] = {};
  place.host.copy(mine, kHostBytes - 1);
  std::vector<char> all(static_cast<std::size_t>(place.world) * kHostBytes);
  world.control().all_gather(mine, all.data(), kHostBytes, ElementType::u8);
  std::vector<std::string> hosts;
  for (std::size_t at = 0; at < all.size(); at += kHostBytes) hosts.emplace_back(&all[at]);
  return hosts;
}

}  // namespace

struct Watchdog::State {
  State(MpiWorld& world, double timeout_s);
  ~State();
  void stop();

  std::atomic<uint64_t> place{0};  // step * 16 + phase
  std::atomic<int64_t> sequence{0};
  std::array<std::atomic<double>, kPhases> factors;

 private:
  Message own() const;
  void hear(std::size_t from, const Message& message);
  bool next_round();
  bool serve_all();
  bool serve_root();
  void loop();

  MpiWorld& world_;
  const std::size_t rank_, ranks_;
  const double timeout_s_, period_s_;
  MPI_Comm comm_;
  Judge judge_;
  std::vector<Link> links_;  // rank 0: [r - 1] to rank r; others: [0] to rank 0
  std::vector<bool> stopping_, gone_;
  bool ended_ = false;  // rank 0 has sent `end`
  double now_s_ = 0;    // stands still while this thread does not run, as when it was stopped
  Timer timer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_asked_ = false, quit_ = false;  // under mutex_
  bool stopping_here_ = false;              // the thread's copy of stop_asked_
  std::thread thread_;
};

Watchdog::State::State(MpiWorld& world, double timeout_s)
    : world_(world),
      rank_(static_cast<std::size_t>(world.place().rank)),
      ranks_(static_cast<std::size_t>(world.place().world)),
      timeout_s_(timeout_s),
      period_s_(std::min(timeout_s / kReportsPerTimeout, kLongestPeriod_s)),
      comm_(world.duplicate_world()),
      judge_(gather_hosts(world), timeout_s, kSilentPeriods * period_s_),
      stopping_(ranks_, false),
      gone_(ranks_, false) {
  for (std::atomic<double>& factor : factors) factor = 1;
  for (const Phase phase : {Phase::start, Phase::load, Phase::save}) {
    factors[static_cast<std::size_t>(phase)] = 10;
  }
  if (rank_ > 0) links_.emplace_back(comm_, 0);
  for (std::size_t r = 1; rank_ == 0 && r < ranks_; ++r) {
    links_.emplace_back(comm_, static_cast<int>(r));
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
  for (Link& link : links_) link.abandon();
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

Message Watchdog::State::own() const {
  const uint64_t at = place.load(std::memory_order_relaxed);
  Message message;
  message.kind = stopping_here_ ? Kind::stopping : Kind::report;
  message.phase =
      stopping_here_ ? static_cast<int64_t>(Phase::finish) : static_cast<int64_t>(at % 16);
  message.step = static_cast<int64_t>(at / 16);
  message.sequence = sequence.load(std::memory_order_relaxed);
  const double factor = factors[static_cast<std::size_t>(message.phase)];
  message.limit_us = static_cast<int64_t>(timeout_s_ * factor * 1e6);
  return message;
}

void Watchdog::State::hear(std::size_t from, const Message& message) {
  const Report report{static_cast<Phase>(message.phase), message.step, message.sequence,
                      static_cast<double>(message.limit_us) * 1e-6};
  judge_.hear(from, report, now_s_);
  stopping_[from] = message.kind != Kind::report;
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

/// Rank 0 hears all, judges, and answers; true: all have said goodbye.
bool Watchdog::State::serve_all() {
  hear(0, own());
  for (std::size_t r = 1; r < ranks_; ++r) {
    while (!gone_[r]) {
      const auto message = links_[r - 1].receive();
      if (!message) break;
      hear(r, *message);
      gone_[r] = message->kind == Kind::bye;
    }
    if (gone_[r]) hear(r, {.kind = Kind::bye, .phase = static_cast<int64_t>(Phase::finish)});
  }
  const std::string line = judge_.verdict(now_s_);
  if (!line.empty()) world_.end_job(ExitCode::peer, line);

  ended_ = ended_ ||
           std::count(stopping_.begin(), stopping_.end(), true) == static_cast<int64_t>(ranks_);
  Message answer = own();
  if (ended_) answer.kind = Kind::end;
  bool over = true;
  for (std::size_t r = 1; r < ranks_; ++r) {
    links_[r - 1].offer(answer, now_s_, period_s_);
    over = over && gone_[r] && links_[r - 1].closed() && links_[r - 1].all_sent();
  }
  return over;
}

/// The other ranks report to rank 0 and notice when it is silent; true: it has ended the watch.
bool Watchdog::State::serve_root() {
  Link& root = links_[0];
  while (!gone_[0]) {
    const auto message = root.receive();
    if (!message) break;
    hear(0, *message);
    gone_[0] = message->kind == Kind::end;
  }
  if (!gone_[0]) {
    // The lower of the surviving ranks speaks first, and its abort ends the others.
    const double patience_s = std::min(kPatience_s * static_cast<double>(rank_ - 1), timeout_s_);
    const std::string line = judge_.silent({0}, now_s_ - patience_s);
    if (!line.empty()) world_.end_job(ExitCode::peer, line);
  }
  Message report = own();
  if (gone_[0]) report.kind = Kind::bye;
  root.offer(report, now_s_, period_s_);
  return root.closed() && root.all_sent();
}

void Watchdog::State::loop() {
  while (next_round()) {
    if (rank_ == 0 ? serve_all() : serve_root()) return;
  }
}

Watchdog::Watchdog(World& world, double timeout_s) {
  watched_place = 0;
  watched_timeout_s = std::max(timeout_s, 0.0);
  auto* mpi = dynamic_cast<MpiWorld*>(&world);
  if (!mpi || timeout_s <= 0 || world.place().world == 1 || !world.threads_allowed()) return;
  state_ = std::make_unique<State>(*mpi, timeout_s);
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
