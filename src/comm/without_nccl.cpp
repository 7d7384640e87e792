// Chooses the device backend: with BITSTILL_CUDA it is nccl.cpp, otherwise there is none.
#ifndef BITSTILL_CUDA
#include "bitstill/comm/nccl.hpp"

namespace bitstill {
namespace {

[[noreturn]] void refuse() {
  throw Error(ExitCode::environment,
              "built without CUDA: use run.device = cpu, or build with cmake --preset gpu");
}

}  // namespace

std::unique_ptr<Channel> make_nccl_channel(World&, Traffic, int, void*) {
  refuse();
}
EventPtr record_device_event(void*) {
  refuse();
}

}  // namespace bitstill
#endif
