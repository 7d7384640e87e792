// The ranks of a world, each of which writes down what it sends of gradients and gathers, call by
// call.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/world.hpp"

namespace bitstill {

using Record = std::vector<std::string>;

class RecordedCommunicator final : public Communicator {
 public:
  RecordedCommunicator(std::unique_ptr<Communicator> comm, Traffic kind, Record& record)
      : Communicator(comm->rank(), comm->world(), kind), comm_(std::move(comm)), record_(record) {}

  std::unique_ptr<Communicator> duplicate(Traffic kind) override {
    return recorded(comm_->duplicate(Traffic::control), kind);
  }

 protected:
  std::unique_ptr<Communicator> do_split(int color, int key, Traffic kind) override {
    return recorded(comm_->split(color, key, Traffic::control), kind);
  }
  void do_all_reduce(void* data, int64_t count, ElementType type, Reduction op) override {
    note("all_reduce", count, type);
    comm_->all_reduce(data, count, type, op);
  }
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    note("all_gather", count, type);
    comm_->all_gather(mine, all, count, type);
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    note("all_to_all", count, type);
    comm_->all_to_all(mine, theirs, count, type);
  }
  void do_broadcast(void* data, int64_t count, ElementType type, int root) override {
    note(concat("broadcast from ", root), count, type);
    comm_->broadcast(data, count, type, root);
  }
  void do_barrier() override {
    note("barrier", 0, ElementType::u8);
    comm_->barrier();
  }
  void do_send(const void* data, int64_t count, ElementType type, int to) override {
    note(concat("send to ", to), count, type);
    comm_->send(data, count, type, to);
  }
  void do_receive(void* data, int64_t count, ElementType type, int from) override {
    note(concat("receive from ", from), count, type);
    comm_->receive(data, count, type, from);
  }

 private:
  std::unique_ptr<Communicator> recorded(std::unique_ptr<Communicator> comm, Traffic kind) {
    return std::make_unique<RecordedCommunicator>(std::move(comm), kind, record_);
  }
  void note(const std::string& verb, int64_t count, ElementType type) {
    if (kind() == Traffic::control) return;
    record_.push_back(concat(traffic_name(kind()), " ", verb, ", ",
                             count * static_cast<int64_t>(element_bytes(type)), " bytes"));
  }

  std::unique_ptr<Communicator> comm_;  // counts as control traffic
  Record& record_;
};

class RecordedWorld final : public World {
 public:
  RecordedWorld(World& world, Record& record)
      : world_(world),
        control_(world.control().duplicate(Traffic::control), Traffic::control, record) {}

  const Place& place() const override { return world_.place(); }
  Communicator& control() override { return control_; }
  /// Channels run on the calling thread, whose order the record is then.
  bool threads_allowed() const override { return false; }
  std::string library() const override { return "a recorded world"; }
  void fatal(ExitCode code, const std::string& message) override { world_.fatal(code, message); }

 private:
  World& world_;
  RecordedCommunicator control_;
};

}  // namespace bitstill
