// Runs each piece of work where it is enqueued: no thread, the reference for the lanes.
#include <exception>
#include <future>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/channel.hpp"
#include "flag_event.hpp"

namespace bitstill {
namespace {

class InlineChannel final : public Channel {
 public:
  explicit InlineChannel(std::unique_ptr<Communicator> comm) : comm_(std::move(comm)) {}
  using Channel::all_reduce;

  EventPtr enqueue(std::function<void(Communicator&)> work) override { return run(nullptr, work); }
  EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) override {
    return run(ready, [&](Communicator& comm) { comm.all_reduce(data, count, type); });
  }
  EventPtr all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                      std::shared_ptr<const void>) override {
    return run(ready,
               [&](Communicator& comm) { comm.all_gather(mine, all, bytes, ElementType::u8); });
  }
  void wait(const EventPtr& done) override { wait_for_flag(done); }
  void wait_on_host(const EventPtr& done) override { wait_for_flag(done); }
  double take_busy_seconds() override { return std::exchange(busy_s_, 0.0); }

 private:
  EventPtr run(const EventPtr& ready, const std::function<void(Communicator&)>& work) {
    if (error_) std::rethrow_exception(error_);
    std::promise<void> done;
    try {
      wait_for_flag(ready);
      const Timer timer;
      work(*comm_);
      busy_s_ += timer.seconds();
      done.set_value();
    } catch (...) {
      error_ = std::current_exception();
      done.set_exception(error_);
    }
    return std::make_shared<FlagEvent>(done.get_future().share());
  }

  std::unique_ptr<Communicator> comm_;
  std::exception_ptr error_;
  double busy_s_ = 0;
};

}  // namespace

std::unique_ptr<Channel> make_inline_channel(std::unique_ptr<Communicator> comm) {
  return std::make_unique<InlineChannel>(std::move(comm));
}

}  // namespace bitstill
