// A lane: one thread that runs queued work in order on its own communicator.
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <thread>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/channel.hpp"
#include "flag_event.hpp"

namespace bitstill {
namespace {

struct Item {
  EventPtr ready;
  std::function<void(Communicator&)> work;
  std::promise<void> done;
};

/// Shared by the channel and its thread, so that a thread which is left behind owns what it uses.
struct Lane {
  std::unique_ptr<Communicator> comm;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Item> queue;
  std::exception_ptr error;  // the first failure
  bool closing = false;      // no more work comes
  bool ended = false;        // the thread is done
  double busy_s = 0;

  /// Runs one item outside the lock; returns its failure.
  std::exception_ptr run(Item& item) {
    try {
      wait_for_flag(item.ready);
      const Timer timer;
      item.work(*comm);
      const std::lock_guard lock(mutex);
      busy_s += timer.seconds();
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  void loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return closing || !queue.empty(); });
      if (queue.empty()) break;
      Item item = std::move(queue.front());
      queue.pop_front();
      std::exception_ptr failure = error;
      if (!failure) {
        lock.unlock();
        failure = run(item);
        lock.lock();
        if (failure) error = failure;
      }
      item.work = nullptr;  // what it captured ends before the waiter goes on
      if (failure) {
        item.done.set_exception(failure);
      } else {
        item.done.set_value();
      }
    }
    ended = true;
    changed.notify_all();
  }
};

class LaneChannel final : public Channel {
 public:
  explicit LaneChannel(std::unique_ptr<Communicator> comm) {
    lane_->comm = std::move(comm);
    thread_ = std::thread([lane = lane_] { lane->loop(); });
  }

  ~LaneChannel() override {
    const bool failing = std::uncaught_exceptions() > exceptions_;
    std::unique_lock lock(lane_->mutex);
    lane_->closing = true;
    if (failing) drop_queue();
    lane_->changed.notify_all();
    if (failing &&
        !lane_->changed.wait_for(lock, std::chrono::seconds(1), [&] { return lane_->ended; })) {
      thread_.detach();
      return;
    }
    lock.unlock();
    thread_.join();
  }

  using Channel::all_reduce;
  EventPtr enqueue(std::function<void(Communicator&)> work) override {
    return push(nullptr, std::move(work));
  }
  EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) override {
    return push(std::move(ready), [=](Communicator& comm) { comm.all_reduce(data, count, type); });
  }
  EventPtr all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                      std::shared_ptr<const void> memory) override {
    return push(std::move(ready),
                [mine, all, bytes, memory = std::move(memory)](Communicator& comm) {
                  comm.all_gather(mine, all, bytes, ElementType::u8);
                });
  }
  void wait(const EventPtr& done) override { wait_for_flag(done); }
  void wait_on_host(const EventPtr& done) override { wait_for_flag(done); }
  double take_busy_seconds() override {
    const std::lock_guard lock(lane_->mutex);
    return std::exchange(lane_->busy_s, 0.0);
  }

 private:
  EventPtr push(EventPtr ready, std::function<void(Communicator&)> work) {
    Item item{std::move(ready), std::move(work), {}};
    auto event = std::make_shared<FlagEvent>(item.done.get_future().share());
    const std::lock_guard lock(lane_->mutex);
    if (lane_->error) std::rethrow_exception(lane_->error);
    lane_->queue.push_back(std::move(item));
    lane_->changed.notify_all();
    return event;
  }

  void drop_queue() {
    const Error error(ExitCode::peer, "this work was given up because the job is ending");
    for (Item& item : lane_->queue) item.done.set_exception(std::make_exception_ptr(error));
    lane_->queue.clear();
  }

  std::shared_ptr<Lane> lane_ = std::make_shared<Lane>();
  std::thread thread_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace

std::unique_ptr<Channel> make_lane_channel(std::unique_ptr<Communicator> comm) {
  return std::make_unique<LaneChannel>(std::move(comm));
}

}  // namespace bitstill
