// NCCL on its own non-blocking stream. The communicator is a non-blocking one too, so that no call
// hangs in a dead rank: each is polled, with a time-out.
#include "bitstill/comm/nccl.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <deque>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"

namespace bitstill {
namespace {

constexpr double kCallTimeout_s = 120;  // for NCCL's own start, launches and end
constexpr double kAbortGrace_s = 1;     // for kernels to notice that NCCL was aborted

void check_cuda(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw Error(ExitCode::environment, concat(call, " failed: ", cudaGetErrorString(code)));
}

/// Waits between two questions: a launch takes microseconds, a step milliseconds, a busy rank more.
class Poll {
 public:
  void pause() {
    if (timer_.seconds() < kSpin_s) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  double seconds() const { return timer_.seconds(); }

 private:
  static constexpr double kSpin_s = 0.01;
  Timer timer_;
};

struct DeviceEvent final : Event {
  DeviceEvent() { check_cuda(cudaEventCreate(&event), "cudaEventCreate"); }
  ~DeviceEvent() override { cudaEventDestroy(event); }
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;
  void record(cudaStream_t stream) {
    check_cuda(cudaEventRecord(event, stream), "cudaEventRecord");
  }
  bool happened() const {
    const cudaError_t code = cudaEventQuery(event);
    if (code == cudaErrorNotReady) return false;
    check_cuda(code, "cudaEventQuery");
    return true;
  }
  cudaEvent_t event = nullptr;
};
using DeviceEventPtr = std::shared_ptr<DeviceEvent>;

const DeviceEvent& device_event(const EventPtr& event) {
  const auto* device = dynamic_cast<const DeviceEvent*>(event.get());
  if (!device) throw Error(ExitCode::environment, "a CPU event was given to a device channel");
  return *device;
}

class NcclChannel final : public Channel {
 public:
  NcclChannel(World& world, Traffic kind, int device, cudaStream_t compute)
      : rank_(world.place().rank),
        world_(world.place().world),
        device_(device),
        kind_(kind),
        compute_(compute),
        control_(world.control().duplicate(Traffic::control)) {}
  ~NcclChannel() override;

  using Channel::all_reduce;
  EventPtr enqueue(std::function<void(Communicator&)>) override {
    throw Error(ExitCode::environment, "a device channel runs no work on the CPU");
  }
  EventPtr all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) override;
  EventPtr all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                      std::shared_ptr<const void> memory) override;
  void wait(const EventPtr& done) override;
  void wait_on_host(const EventPtr& done) override;
  double take_busy_seconds() override;

 private:
  /// A call on the stream, from its begin to its end; what it works on lives as long.
  struct Call {
    DeviceEventPtr begin, end;
    std::shared_ptr<const void> memory;
  };
  template <class Launch>
  EventPtr run(const char* name, const EventPtr& ready, int64_t bytes,
               std::shared_ptr<const void> memory, Launch launch);
  void start();
  void settle(ncclResult_t result, const char* call);
  void check_health();
  void collect();
  DeviceEventPtr take_event();
  [[noreturn]] void give_up(const std::string& why);

  const int rank_, world_, device_;
  const Traffic kind_;
  const cudaStream_t compute_;
  std::unique_ptr<Communicator> control_;
  cudaStream_t stream_ = nullptr;  // made at the first use, like comm_
  ncclComm_t comm_ = nullptr;      // null again once aborted
  std::string failure_;
  std::deque<Call> calls_;  // those that may not be over
  std::vector<DeviceEventPtr> free_events_;
  double busy_s_ = 0;
  const int exceptions_ = std::uncaught_exceptions();
};

/// Aborts NCCL, so that no kernel waits for a dead rank; the channel throws this from now on.
void NcclChannel::give_up(const std::string& why) {
  if (comm_) ncclCommAbort(comm_);
  comm_ = nullptr;
  failure_ = why;
  throw Error(ExitCode::peer, failure_);
}

/// Polls until a call of a non-blocking communicator is done.
void NcclChannel::settle(ncclResult_t result, const char* call) {
  Poll poll;
  while (result == ncclInProgress && poll.seconds() < kCallTimeout_s) {
    poll.pause();
    if (ncclCommGetAsyncError(comm_, &result) != ncclSuccess) result = ncclInternalError;
  }
  if (result == ncclSuccess) return;
  if (result == ncclInProgress) {
    give_up(concat(call, ": another rank does not answer for ", kCallTimeout_s, " s"));
  }
  give_up(concat(call, " failed: ", ncclGetErrorString(result), "; ", ncclGetLastError(comm_)));
}

void NcclChannel::check_health() {
  if (!failure_.empty()) throw Error(ExitCode::peer, failure_);
  ncclResult_t result = ncclSuccess;
  if (comm_ && ncclCommGetAsyncError(comm_, &result) == ncclSuccess && result != ncclInProgress) {
    settle(result, "NCCL");
  }
}

void NcclChannel::start() {
  struct {
    ncclResult_t result = ncclSuccess;
    ncclUniqueId id{};
  } first;
  agree(*control_, [&] {
    check_cuda(cudaSetDevice(device_), concat("using GPU ", device_).c_str());
    if (!stream_) {
      check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    }
    if (rank_ == 0) first.result = ncclGetUniqueId(&first.id);
  });
  control_->broadcast(&first, sizeof first, ElementType::u8, 0);
  agree(*control_, [&] {
    if (first.result != ncclSuccess) give_up("ncclGetUniqueId failed: no network interface?");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    settle(ncclCommInitRankConfig(&comm_, world_, first.id, rank_, &config), "ncclCommInitRank");
  });
}

/// Takes the calls that are over from the list, with their events, memory and seconds. After a
/// failure their events tell nothing.
void NcclChannel::collect() {
  while (failure_.empty() && !calls_.empty() && calls_.front().end->happened()) {
    Call& call = calls_.front();
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, call.begin->event, call.end->event),
               "cudaEventElapsedTime");
    busy_s_ += milliseconds * 1e-3;
    free_events_.push_back(call.begin);
    if (call.end.use_count() == 1) free_events_.push_back(call.end);  // else someone may still ask
    calls_.pop_front();
  }
}

DeviceEventPtr NcclChannel::take_event() {
  if (free_events_.empty()) return std::make_shared<DeviceEvent>();
  DeviceEventPtr event = std::move(free_events_.back());
  free_events_.pop_back();
  return event;
}

template <class Launch>
EventPtr NcclChannel::run(const char* name, const EventPtr& ready, int64_t bytes,
                          std::shared_ptr<const void> memory, Launch launch) {
  check_health();
  if (!comm_) start();
  check_cuda(cudaSetDevice(device_), "cudaSetDevice");
  collect();
  Call call{take_event(), take_event(), std::move(memory)};
  if (!ready) call.begin->record(compute_);  // the stream waits for this record, not for later ones
  const cudaEvent_t first = ready ? device_event(ready).event : call.begin->event;
  check_cuda(cudaStreamWaitEvent(stream_, first, 0), "cudaStreamWaitEvent");
  call.begin->record(stream_);
  calls_.push_back(call);  // before the launch: after a failed one the device may still write
  settle(launch(), name);
  call.end->record(stream_);
  if (world_ > 1) count_traffic(kind_, bytes);
  return call.end;
}

EventPtr NcclChannel::all_reduce(void* data, int64_t count, ElementType type, EventPtr ready) {
  if (type != ElementType::f32 && type != ElementType::bf16) {
    throw Error(ExitCode::environment, "device sums are of f32 or bf16");
  }
  const int64_t bytes = count * static_cast<int64_t>(element_bytes(type));
  return run("ncclAllReduce", ready, bytes, nullptr, [&] {
    return ncclAllReduce(data, data, static_cast<std::size_t>(count),
                         type == ElementType::f32 ? ncclFloat32 : ncclBfloat16, ncclSum, comm_,
                         stream_);
  });
}

EventPtr NcclChannel::all_gather(const void* mine, void* all, int64_t bytes, EventPtr ready,
                                 std::shared_ptr<const void> memory) {
  return run("ncclAllGather", ready, bytes, std::move(memory), [&] {
    return ncclAllGather(mine, all, static_cast<std::size_t>(bytes), ncclUint8, comm_, stream_);
  });
}

void NcclChannel::wait(const EventPtr& done) {
  if (done) {
    check_cuda(cudaStreamWaitEvent(compute_, device_event(done).event, 0), "cudaStreamWaitEvent");
  }
  check_health();
}

/// No time-out: another rank may be busy, and one that is dead is the watchdog's matter.
void NcclChannel::wait_on_host(const EventPtr& done) {
  Poll poll;
  while (done && !device_event(done).happened()) {
    check_health();
    poll.pause();
  }
  check_health();
}

double NcclChannel::take_busy_seconds() {
  collect();
  return std::exchange(busy_s_, 0.0);
}

NcclChannel::~NcclChannel() {
  if (!stream_) return;
  cudaSetDevice(device_);
  if (comm_ && std::uncaught_exceptions() == exceptions_) {
    try {
      settle(ncclCommFinalize(comm_), "ncclCommFinalize");
      ncclCommDestroy(comm_);
      comm_ = nullptr;
    } catch (const Error&) {  // settle has aborted the communicator
    }
  }
  if (comm_) ncclCommAbort(comm_);
  // Kernels of calls that are not over may write into their memory until they notice the end.
  Poll poll;
  while (cudaStreamQuery(stream_) == cudaErrorNotReady && poll.seconds() < kAbortGrace_s) {
    poll.pause();
  }
  cudaStreamDestroy(stream_);
}

}  // namespace

std::unique_ptr<Channel> make_nccl_channel(World& world, Traffic kind, int device,
                                           void* compute_stream) {
  return std::make_unique<NcclChannel>(world, kind, device,
                                       static_cast<cudaStream_t>(compute_stream));
}

EventPtr record_device_event(void* stream) {
  auto event = std::make_shared<DeviceEvent>();
  event->record(static_cast<cudaStream_t>(stream));
  return event;
}

}  // namespace bitstill
