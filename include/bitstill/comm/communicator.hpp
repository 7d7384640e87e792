// The communicator interface: blocking collectives over plain memory, torch-free.
// Backends: solo (one rank), mpi, threads (ranks as threads, for tests). Device memory travels by
// a channel of its own (nccl.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace bitstill {

enum class ElementType { f32, f64, bf16, i64, u8 };
std::size_t element_bytes(ElementType type);

enum class Reduction { sum, min, max };

/// What a message is for; bytes and messages are counted apart for each.
enum class Traffic { gradients, gathers, points, statistics, control };
constexpr int kTrafficKinds = 5;
const char* traffic_name(Traffic kind);

/// What this rank handed to others since the start: payload bytes and calls. A broadcast counts at
/// its root, a point-to-point message at its sender; one rank alone sends nothing.
struct TrafficCount {
  int64_t bytes = 0;
  int64_t messages = 0;
};
using TrafficCounts = std::array<TrafficCount, kTrafficKinds>;

/// Totals of this process, over all communicators. Thread-safe.
TrafficCounts traffic_counts();

/// Adds one message. For backends; the verbs below call it themselves. Thread-safe.
void count_traffic(Traffic kind, int64_t bytes);

/// A group of ranks and one ordered stream of collectives among them. One thread at a time.
/// Every verb is a collective unless it says otherwise: every rank of the communicator calls it,
/// in the same order, with the same count and type. Failures of the transport throw Error(peer).
class Communicator {
 public:
  Communicator(int rank, int world, Traffic kind) : rank_(rank), world_(world), kind_(kind) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int world() const { return world_; }
  Traffic kind() const { return kind_; }

  /// In place: data[i] = the reduction over all ranks, bit-equal on all ranks. Sums of f32, f64,
  /// i64 and bf16 (each addition rounded), min and max of f64 and i64; anything else is
  /// Error(environment).
  void all_reduce(void* data, int64_t count, ElementType type, Reduction op = Reduction::sum);
  /// all[r * count ...] = rank r's `mine`.
  void all_gather(const void* mine, void* all, int64_t count, ElementType type);
  /// theirs[r * count ...] = what rank r has at mine[rank * count ...]. Counted: what this rank
  /// hands to others, (world - 1) * count.
  void all_to_all(const void* mine, void* theirs, int64_t count, ElementType type);
  void broadcast(void* data, int64_t count, ElementType type, int root);
  void barrier();
  /// Point to point, blocking, in order between two ranks. Not collective.
  void send(const void* data, int64_t count, ElementType type, int to);
  void receive(void* data, int64_t count, ElementType type, int from);

  /// A communicator of the same ranks with its own order of messages, for traffic of `kind`.
  /// Collective. It may outlive this one, but not the World.
  virtual std::unique_ptr<Communicator> duplicate(Traffic kind) = 0;

  /// A communicator, for traffic of `kind`, of the ranks that give the same `color` (>= 0, else
  /// Error(environment)), numbered in the order of their keys, those of equal key in the order of
  /// their ranks here. Collective. It may outlive this one, but not the World.
  std::unique_ptr<Communicator> split(int color, int key, Traffic kind);

 protected:
  virtual std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) = 0;
  virtual void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) = 0;
  virtual void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) = 0;
  virtual void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) = 0;
  virtual void do_broadcast(void* data, int64_t count, ElementType type, int root) = 0;
  virtual void do_barrier() = 0;
  virtual void do_send(const void* data, int64_t count, ElementType type, int to) = 0;
  virtual void do_receive(void* data, int64_t count, ElementType type, int from) = 0;

 private:
  void count(int64_t elements, ElementType type) const;
  int rank_, world_;
  Traffic kind_;
};

}  // namespace bitstill
