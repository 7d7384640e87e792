#include "bitstill/comm/communicator.hpp"

#include <atomic>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

struct Counter {
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> messages{0};
};
std::array<Counter, kTrafficKinds> counters;

const char* type_name(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return "f32";
    case ElementType::f64:
      return "f64";
    case ElementType::bf16:
      return "bf16";
    case ElementType::i64:
      return "i64";
    case ElementType::u8:
      return "u8";
  }
  return "?";
}

bool reducible(ElementType type, Reduction op) {
  if (type == ElementType::f64 || type == ElementType::i64) return true;
  return (type == ElementType::f32 || type == ElementType::bf16) && op == Reduction::sum;
}

}  // namespace

std::size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return 4;
    case ElementType::f64:
      return 8;
    case ElementType::bf16:
      return 2;
    case ElementType::i64:
      return 8;
    case ElementType::u8:
      return 1;
  }
  return 0;
}

const char* traffic_name(Traffic kind) {
  switch (kind) {
    case Traffic::gradients:
      return "gradients";
    case Traffic::gathers:
      return "gathers";
    case Traffic::points:
      return "points";
    case Traffic::statistics:
      return "statistics";
    case Traffic::control:
      return "control";
  }
  return "?";
}

void count_traffic(Traffic kind, int64_t bytes) {
  Counter& counter = counters[static_cast<std::size_t>(kind)];
  counter.bytes.fetch_add(bytes, std::memory_order_relaxed);
  counter.messages.fetch_add(1, std::memory_order_relaxed);
}

TrafficCounts traffic_counts() {
  TrafficCounts totals;
  for (std::size_t k = 0; k < totals.size(); ++k) {
    totals[k].bytes = counters[k].bytes.load(std::memory_order_relaxed);
    totals[k].messages = counters[k].messages.load(std::memory_order_relaxed);
  }
  return totals;
}

void Communicator::count(int64_t elements, ElementType type) const {
  if (world_ > 1) count_traffic(kind_, elements * static_cast<int64_t>(element_bytes(type)));
}

void Communicator::all_reduce(void* data, int64_t count_in, ElementType type, Reduction op) {
  if (!reducible(type, op)) {
    throw Error(ExitCode::environment,
                concat("all_reduce: this reduction of ", type_name(type), " is not supported"));
  }
  count(count_in, type);
  if (count_in > 0) do_all_reduce(data, count_in, type, op);
}

void Communicator::all_gather(const void* mine, void* all, int64_t count_in, ElementType type) {
  count(count_in, type);
  if (count_in > 0) do_all_gather(mine, all, count_in, type);
}

void Communicator::all_to_all(const void* mine, void* theirs, int64_t count_in, ElementType type) {
  count((world_ - 1) * count_in, type);
  if (count_in > 0) do_all_to_all(mine, theirs, count_in, type);
}

void Communicator::broadcast(void* data, int64_t count_in, ElementType type, int root) {
  if (rank_ == root) count(count_in, type);
  if (count_in > 0) do_broadcast(data, count_in, type, root);
}

void Communicator::barrier() {
  count(0, ElementType::u8);
  do_barrier();
}

void Communicator::send(const void* data, int64_t count_in, ElementType type, int to) {
  count(count_in, type);
  if (count_in > 0) do_send(data, count_in, type, to);
}

void Communicator::receive(void* data, int64_t count_in, ElementType type, int from) {
  if (count_in > 0) do_receive(data, count_in, type, from);
}

std::unique_ptr<Communicator> Communicator::split(int color, int key, Traffic kind) {
  if (color < 0) throw Error(ExitCode::environment, concat("split: color ", color, " is negative"));
  return do_split(color, key, kind);
}

}  // namespace bitstill
