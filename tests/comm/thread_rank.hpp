// A world whose ranks are threads (comm/thread_world.hpp), for what takes a World.
#pragma once

#include <cstdlib>
#include <string>

#include "bitstill/base/log.hpp"
#include "bitstill/comm/world.hpp"

namespace bitstill {

class ThreadRank final : public World {
 public:
  explicit ThreadRank(Communicator& comm) : comm_(comm) {
    place_.rank = place_.local_rank = comm.rank();
    place_.world = place_.local_world = comm.world();
  }
  const Place& place() const override { return place_; }
  Communicator& control() override { return comm_; }
  bool threads_allowed() const override { return true; }
  std::string library() const override { return "none (threads)"; }
  [[noreturn]] void fatal(ExitCode, const std::string& message) override {
    print_error(message);
    std::abort();
  }

 private:
  Communicator& comm_;
  Place place_;
};

}  // namespace bitstill
