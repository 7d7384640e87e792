#include "sim_channel.hpp"

#include <mutex>
#include <utility>

namespace bitstill {

struct SimLane::Item final : Event {
  std::function<void(Communicator&)> work;
  bool done = false;
};

EventPtr SimLane::push(std::function<void(Communicator&)> work) {
  auto item = std::make_shared<Item>();
  item->work = std::move(work);
  const std::unique_lock lock(*mutex_);
  queue_.push_back(item);
  changed_->notify_all();
  return item;
}

void SimLane::wait(const EventPtr& done) {
  const auto& item = static_cast<const Item&>(*done);
  std::unique_lock lock(*mutex_);
  while (!item.done) changed_->wait(lock);
}

void SimLane::close() {
  const std::unique_lock lock(*mutex_);
  closing_ = true;
  changed_->notify_all();
}

void SimLane::serve(Communicator& comm) {
  std::unique_lock lock(*mutex_);
  for (;;) {
    while (queue_.empty() && !closing_) changed_->wait(lock);
    if (queue_.empty()) return;
    const std::shared_ptr<Item> item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const double begun_s = simgrid::s4u::Engine::get_clock();
    item->work(comm);
    lock.lock();
    busy_s_ += simgrid::s4u::Engine::get_clock() - begun_s;
    item->done = true;
    changed_->notify_all();
  }
}

EventPtr SimChannel::enqueue(std::function<void(Communicator&)> work) {
  return lane_->push(std::move(work));
}

EventPtr SimChannel::all_reduce(void* data, int64_t count, ElementType type, EventPtr) {
  return lane_->push([=](Communicator& comm) { comm.all_reduce(data, count, type); });
}

EventPtr SimChannel::all_gather(const void* mine, void* all, int64_t bytes, EventPtr,
                                std::shared_ptr<const void>) {
  return lane_->push(
      [=](Communicator& comm) { comm.all_gather(mine, all, bytes, ElementType::u8); });
}

double SimChannel::take_busy_seconds() {
  return std::exchange(lane_->busy_s_, 0.0);
}

}  // namespace bitstill
