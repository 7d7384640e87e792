#include "bitstill/data/prefetch.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace bitstill {

struct Prefetcher::State {
  /// What the thread hands over: a batch, what went wrong, or (neither) the end.
  struct Item {
    Batch batch;
    std::exception_ptr failure;
    bool last = false;
  };

  const Dataset& dataset;
  Split split;
  BatchPlan plan;
  const RowDecoder& decoder;
  std::size_t depth;
  BatchHook hook;
  RawRows raw;  // of the batch that is being read

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Item> ready;
  bool stop = false;
  std::thread thread;

  /// Batch n into item; marks it as the last when there is none.
  void fill_item(int64_t n, Item* item) {
    Batch& batch = item->batch;
    int64_t epoch = 0;
    if (!plan(n, &batch.rows, &epoch)) {
      item->last = true;
      return;
    }
    batch.labels.resize(batch.rows.size());
    dataset.read(split, batch.rows, &raw, batch.labels.data());
    decoder.decode(&raw, epoch, &batch);
    if (hook && batch.count() > 0) hook(&batch);
  }

  void run() {
    for (int64_t n = 0;; ++n) {
      {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return stop || ready.size() < depth; });
        if (stop) return;
      }
      Item item;
      try {
        fill_item(n, &item);
      } catch (...) {
        item.failure = std::current_exception();
      }
      const bool ended = item.last || item.failure;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        ready.push_back(std::move(item));
      }
      changed.notify_all();
      if (ended) return;
    }
  }
};

Prefetcher::Prefetcher(const Dataset& dataset, Split split, BatchPlan plan,
                       const RowDecoder& decoder, int depth, BatchHook hook)
    : state_(new State{dataset,
                       split,
                       std::move(plan),
                       decoder,
                       static_cast<std::size_t>(std::max(depth, 1)),
                       std::move(hook),
                       {},
                       {},
                       {},
                       {},
                       false,
                       {}}) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

bool Prefetcher::next(Batch* batch) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->changed.wait(lock, [&] { return !state_->ready.empty(); });
  State::Item& item = state_->ready.front();
  // The end and a failure stay at the front: asking again gives the same answer.
  if (item.failure) std::rethrow_exception(item.failure);
  if (item.last) return false;
  *batch = std::move(item.batch);
  state_->ready.pop_front();
  lock.unlock();
  state_->changed.notify_all();
  return true;
}

}  // namespace bitstill
