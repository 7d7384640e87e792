#include "bitstill/comm/solo.hpp"

#include <cstring>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

class SoloCommunicator final : public Communicator {
 public:
  explicit SoloCommunicator(Traffic kind) : Communicator(0, 1, kind) {}
  std::unique_ptr<Communicator> duplicate(Traffic kind) override {
    return make_solo_communicator(kind);
  }

 protected:
  std::unique_ptr<Communicator> do_split(int, int, Traffic kind) override {
    return make_solo_communicator(kind);
  }
  void do_all_reduce(void*, int64_t, ElementType, Reduction) override {}
  void do_all_gather(const void* mine, void* all, int64_t count, ElementType type) override {
    std::memmove(all, mine, static_cast<std::size_t>(count) * element_bytes(type));
  }
  void do_all_to_all(const void* mine, void* theirs, int64_t count, ElementType type) override {
    do_all_gather(mine, theirs, count, type);
  }
  void do_broadcast(void*, int64_t, ElementType, int) override {}
  void do_barrier() override {}
  void do_send(const void*, int64_t, ElementType, int) override { refuse(); }
  void do_receive(void*, int64_t, ElementType, int) override { refuse(); }

 private:
  [[noreturn]] static void refuse() {
    throw Error(ExitCode::peer, "point-to-point message, but this job has one rank");
  }
};

}  // namespace

std::unique_ptr<Communicator> make_solo_communicator(Traffic kind) {
  return std::make_unique<SoloCommunicator>(kind);
}

}  // namespace bitstill
