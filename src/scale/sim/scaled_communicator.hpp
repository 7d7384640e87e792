// Messages of a fraction of their size: with links of the same fraction of their rate they take as
// long, and the simulation a fraction of the memory.
#pragma once

#include <memory>
#include <utility>

#include "bitstill/comm/communicator.hpp"

namespace bitstill {

class ScaledCommunicator final : public Communicator {
 public:
  ScaledCommunicator(std::unique_ptr<Communicator> comm, Traffic kind, int64_t fraction)
      : Communicator(comm->rank(), comm->world(), kind),
        comm_(std::move(comm)),
        fraction_(fraction) {}

  std::unique_ptr<Communicator> duplicate(Traffic kind) override {
    return std::make_unique<ScaledCommunicator>(comm_->duplicate(comm_->kind()), kind, fraction_);
  }

 protected:
  std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) override {
    return std::make_unique<ScaledCommunicator>(comm_->split(color, key, comm_->kind()), kind,
                                                fraction_);
  }
  void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) override {
    comm_->all_reduce(data, part(count), type, op);
  }
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    comm_->all_gather(mine, all, part(count), type);
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    comm_->all_to_all(mine, theirs, part(count), type);
  }
  void do_broadcast(void* data, int64_t count, ElementType type, int root) override {
    comm_->broadcast(data, part(count), type, root);
  }
  void do_barrier() override { comm_->barrier(); }
  void do_send(const void* data, int64_t count, ElementType type, int to) override {
    comm_->send(data, part(count), type, to);
  }
  void do_receive(void* data, int64_t count, ElementType type, int from) override {
    comm_->receive(data, part(count), type, from);
  }

 private:
  int64_t part(int64_t count) const { return count == 0 ? 0 : (count - 1) / fraction_ + 1; }

  std::unique_ptr<Communicator> comm_;  // counts as control traffic
  int64_t fraction_;
};

}  // namespace bitstill
